"""Stages declare what they read: held against what they do read, on tiny data."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from mprd import stages
from mprd.artifacts import INDEX, read_artifact
from mprd.clustering.registry import CLUSTERINGS
from mprd.config import ClusterConfig, Config, Run, TrainConfig, merge
from mprd.config.load import known_keys
from mprd.errors import FINAL
from mprd.losses.registry import LOSSES
from mprd.pipeline.files import output_arguments
from mprd.pipeline.layout import EpochLayout, RunLayout
from mprd.pipeline.plan import RunPlan
from mprd.pipeline.settings import stage_settings, user_files
from mprd.pipeline.stage import Stage
from mprd.pipeline.stages import STAGES, stage
from mprd.report.page.settings import differing_settings
from mprd.stages.run_stage import run_stage
from tests.pipeline.reader import Reader, plain
from tests.stages.pipeline import GCN, arguments, changed, label, start, train

SECTIONS = {
    key for key in known_keys(Config) if any(k.startswith(f"{key}.") for k in known_keys(Config))
}
FIELDS = sorted(set(known_keys(Config)) - SECTIONS)
# They decide where and how fast a stage computes, or what memory it is said to need.
NOT_RESULTS = {
    "device",
    "processes",
    "graph.search_memory_mb",
    "features.batch",
    "train.step_graph",
}
ESTIMATES = {
    "pretrain": {"graph.k1"},
    "train": {"graph.k1", "graph.backend"},  # which says whether ranks may be given
    "learn": {"graph.k1"},
    "evaluate": {"use_time", "evaluate.time"},  # which say whether transitions may be given
}
# CAP moves prototypes that no loss reads, see the test below.
WITHOUT_EFFECT = {"train": {"train.memory_update"}}


def expanded(keys: tuple[str, ...]) -> set[str]:
    """Fields that keys stand for: themselves, or all below a section."""
    return {
        field for field in FIELDS for key in keys if field == key or field.startswith(f"{key}.")
    }


@pytest.fixture(autouse=True)
def records(monkeypatch):
    """What a stage records of its settings in its files is no use of them."""
    keys = Stage.keys
    monkeypatch.setattr(
        Stage, "keys", lambda self, config, **more: keys(self, plain(config), **more)
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_config):
    """A run of one epoch with the GCN, its final clusters, the labels of epoch 2, a checkpoint."""
    folder = tmp_path_factory.mktemp("reads")
    config = changed(tiny_config, **GCN)
    layout = RunLayout(folder)
    start(folder, config)
    label(folder, 1, config)
    train(folder, 1, config)
    label(folder, 2, config)
    label(folder, FINAL, changed(config, epochs=1))
    for step in (1, FINAL):
        here = layout.step(step)
        shutil.copy(here.clusters, here.provisional_clusters)
        run_stage("judge", layout, changed(config, **JUDGED, epochs=1), step=step)
    judged = changed(config, **JUDGED)
    run_stage("cluster", layout, judged, step=1, out=folder / "judged.h5")
    for step in (1, 2):
        run_stage("ranks", layout, changed(config, **IVF), step=step)
        run_stage("transitions", layout, changed(config, **TIMED), step=step)
    run_stage("transitions", layout, changed(config, **TIMED, epochs=1), step=FINAL)
    shutil.copy(layout.initial_model, folder / "checkpoint.safetensors")
    index = read_artifact(layout.index, INDEX)
    np.save(folder / "features.npy", np.eye(len(index["path"]), dtype=np.float32))
    (folder / "answers.csv").write_text("path_a,path_b,same\n")
    lines = list(zip(index["path"][:12], index["identity"][:12], strict=True))
    for name, column in (("labels", "identity"), ("numbers", "cluster")):
        rows = "".join(f"{path},{who}\n" for path, who in lines)
        (folder / f"{name}.csv").write_text(f"path,{column}\n{rows}")
    return layout


class Variant(NamedTuple):
    """Settings that differ, and the step in which the stage is called; {run}: the run's folder."""

    change: dict
    step: int | str | None = None


PLAIN = {"use_gcn": False}
CAP = {"use_gcn": False, "train": {"memory": "camera", "use_hsd": False, "use_ppa": False}}
IVF = {"graph": {"backend": "ivf", "min_recall": 0.5}}
COMMUNITY = {"cluster": {"method": "community", "gamma": 0.1}}
JUDGED = {"cluster": {"method": "community", "relation": "judged", "gamma": 0.1}}
WITHOUT_PAIRS = JUDGED | {"train": {"use_hsd": False, "use_ppa": False}}
OWN = {"cluster": {"method": "mine", "relation": "judged"}}
OWN_LOSS = PLAIN | {"train": {"extra_losses": {"mine": 1.0}, "use_hsd": False, "use_ppa": False}}
LINKAGE = {"cluster": {"method": "linkage", "threshold": 0.7}}
TIMED = {"use_time": True}
PACED = {"cluster": {"self_paced": True}}
WIDENED = {"cluster": {"eps": 1e-6, "min_samples": 6, "widen_step": 0.3}}
NOWHERE = merge(JUDGED, {"cluster": {"min_size": 60, "widen_step": 0.3}})
GIVEN = {"use_gcn": False, "epochs": 0, "data": {"features": "{run}/features.npy"}}
NUMBERS = {"export": {"numbers": "{run}/numbers.csv"}}
SOURCES = [
    {"gcn": {"unlabelled": {"source": source, "strict": 0.3}}}
    for source in ("cameras", "strict", "views")
]
DECIDED = {"constraints": "{run}/answers.csv", "constrain_training": True}
# Stage -> variants that together make it read all that it declares.
VARIANTS: dict[str, list[Variant]] = {
    "synthesize": [Variant({"data": {"synthetic": {"train_identities": 2, "test_identities": 2}}})],
    "index": [Variant({}), Variant({"data": {"time": r"_(\d{6})_"}})],
    "pixels": [Variant({})],
    "init": [
        Variant({"init": {"method": "random"}}),
        Variant({"init": {"method": "warmup"}}),
        Variant({"init": {"method": "checkpoint", "checkpoint": "{run}/checkpoint.safetensors"}}),
    ],
    "features": [Variant({}, 1), Variant(GIVEN, FINAL)],
    "graph": [Variant({}, 1), Variant(IVF, 1)],
    "transitions": [Variant(TIMED, 1)],
    "ranks": [Variant(IVF, 1)],
    "draft": [
        *(Variant(change, 1) for change in (JUDGED, JUDGED | TIMED, OWN)),
        *(Variant(change, FINAL) for change in (JUDGED | NUMBERS, NOWHERE)),
        Variant(merge(JUDGED, {"cluster": DECIDED}), 1),
    ],
    "metadata": [
        Variant({}),
        Variant({"gcn": {"metadata": {"source": "labels", "file": "{run}/labels.csv"}}}),
    ],
    "pretrain": [Variant(change) for change in SOURCES],
    "judge": [Variant(JUDGED, 1), Variant(JUDGED | IVF, 1)],
    "cluster": [
        *(Variant(change, 1) for change in ({}, WIDENED, COMMUNITY, LINKAGE, TIMED)),
        *(Variant(change, 1) for change in (JUDGED, PACED, OWN)),
        *(Variant(change, FINAL) for change in (NUMBERS, JUDGED | NUMBERS)),
        *(Variant({"cluster": DECIDED}, step) for step in (1, FINAL)),
    ],
    "preview": [Variant({})],
    "train": [
        *(Variant(change, 1) for change in ({}, PLAIN, CAP, WITHOUT_PAIRS, OWN_LOSS)),
        *(Variant(change, 2) for change in ({}, IVF, {"gcn": {"learn": False}})),
    ],
    "learn": [*(Variant(change, 1) for change in SOURCES), Variant(IVF, 1)],
    "evaluate": [
        *(Variant({}, step) for step in ("random", "000", "001")),
        Variant(TIMED | {"evaluate": {"time": True}}, "001"),
    ],
    "export": [Variant({}, FINAL), Variant(GIVEN, FINAL)],
}


def call(name: str, run: RunLayout, out: Path, step: Any, config: Reader) -> None:
    """Run a stage on the files of a run; its output goes elsewhere."""
    one, elsewhere = stage(name), RunLayout(out)
    if name == "synthesize":
        files = {"out": out / "synthetic"}
    else:
        files = arguments(name, run.folder, plain(config), step)
        files |= output_arguments(one, elsewhere, step, plain(config))
    if name == "train" and plain(config).uses_judgements:
        files["clusters"] = run.folder / "judged.h5"
    options = {option.name for option in one.options}
    if "final" in options:
        files["final"] = step == FINAL
    if "baseline" in options and not str(step).isdecimal():
        files["baseline"] = step
    one.function()(**(files | {"config": config}))


@pytest.mark.usefixtures("no_plugins")
@pytest.mark.parametrize("name", VARIANTS)
def test_a_stage_reads_what_it_declares(name, run, tmp_path, tiny_config):
    @CLUSTERINGS.register("mine")
    def by_all(distance, settings):
        assert all(hasattr(settings, key) for key in ClusterConfig.model_fields)
        return CLUSTERINGS["community"](distance, settings)

    @LOSSES.register("mine")
    def of_all(batch, settings):
        assert all(hasattr(settings, key) for key in TrainConfig.model_fields)
        return LOSSES["cluster_contrast"](batch, settings)

    read, promised = set(), set()
    for number, (change, step) in enumerate(VARIANTS[name]):
        base = changed(tiny_config, **GCN, epochs=1)
        config = changed(base, **filled(change, str(run.folder)))
        seen: set[str] = set()
        call(name, run, tmp_path / str(number), step, Reader(config, seen))
        unsaid = NOT_RESULTS | ESTIMATES.get(name, set()) | WITHOUT_EFFECT.get(name, set())
        declares = expanded(stage(name).keys(config, final=step == FINAL))
        assert seen - unsaid <= declares, f"{name} reads what it does not declare ({change})"
        read |= seen
        promised |= declares
    assert promised - read == set(), f"{name} declares what it never reads"
    assert ESTIMATES.get(name, set()) <= read


def test_the_update_of_prototypes_that_no_loss_reads(run, tmp_path, tiny_config):
    found = []
    for update in ("hard", "mean"):
        config = changed(tiny_config, **merge(CAP, {"train": {"memory_update": update}}))
        assert "train.memory_update" not in stage("train").keys(config)
        files = arguments("train", run.folder, config, 1) | {"out": tmp_path / update}
        stage("train").function()(**files)
        here = EpochLayout(tmp_path / update)
        found.append([path.read_bytes() for path in (here.model, here.state, here.metrics)])
    assert found[0] == found[1]


def filled(value: Any, run: str) -> Any:
    if isinstance(value, dict):
        return {key: filled(item, run) for key, item in value.items()}
    return value.replace("{run}", run) if isinstance(value, str) else value


def test_what_the_table_of_metrics_is_made_from(tiny_config):
    seen: set[str] = set()
    config = Reader(changed(tiny_config, data={"dataset": "market1501"}), seen)
    RunPlan(Run("tiny", "tiny", 0, config), lambda _: "", lambda _: "").table_inputs()
    assert seen - {"results", "data.dataset"} == set(stage("table").keys(config))


def test_every_stage_is_checked():
    names = {one.name for one in STAGES}
    assert set(VARIANTS) == names - {"table", "report"}
    folder = Path(stages.__file__).parent
    functions = {
        f"mprd.stages.{path.stem}:run_{path.stem}"
        for path in folder.glob("*.py")
        if f"def run_{path.stem}(" in path.read_text()
    }
    # Pairs for a person to judge are drawn by hand.
    assert {one.run for one in STAGES} == functions - {"mprd.stages.pairs:run_pairs"}


def test_a_report_is_of_all_settings(tiny_config):
    """It names each that differs from its default, but those that do not change a result."""
    elsewhere = {"results", "runs", "seeds", "device", "processes", "epochs_per_job"}
    assert expanded(stage("report").keys(tiny_config)) == set(FIELDS) - elsewhere
    values = {"device": "cpu", "seed": 3, "train": {"iters": 7, "extra_losses": {"mine": 2.0}}}
    assert differing_settings(Config.model_validate(values)) == [
        ("seed", "3", "0"),
        ("train.iters", "7", "400"),
        ("train.extra_losses.mine", "2.0", ""),
    ]


def test_settings_are_nested_as_in_the_config():
    config = Config()
    sizes = {"height": 256, "width": 128, "bits": 16, "allow_outside": False}
    assert stage_settings(config, "pixels") == {"data": sizes}
    stored = {"precision": "auto", "features": {"dtype": "float32"}, "data": {"features": None}}
    assert stage_settings(config, "features") == stored
    unread = {"constraints", "gamma", "min_size", "eps_gap", "threshold"}
    clusters = {"cluster": config.cluster.model_dump(mode="json", exclude=unread)}
    clusters["use_time"] = False
    assert stage_settings(config, "cluster") == clusters
    final = clusters | {"export": {"numbers": None}}
    final["cluster"] = final["cluster"] | {"constraints": None}
    assert stage_settings(config, "cluster", final=True) == final


def test_own_files_are_those_that_are_there(tmp_path, tiny_config):
    manifest = tmp_path / "images.csv"
    config = changed(tiny_config, data={"dataset": "folder", "root": str(manifest)})
    assert user_files(config, "index") == {}, "a missing one is left to the stage"
    manifest.write_text("path\n")
    assert user_files(config, "index") == {"data.root": manifest}
    assert user_files(config, "pixels") == {}
    given = changed(tiny_config, epochs=0, data={"features": str(tmp_path / "f.npy")})
    (tmp_path / "f.npy").touch()
    assert user_files(given, "features") == {"data.features": tmp_path / "f.npy"}
    (tmp_path / "f.txt").touch()
    both = {"data.features": tmp_path / "f.npy", "data.features, paths": tmp_path / "f.txt"}
    assert user_files(given, "features") == user_files(given, "export") == both
    checkpoint = tmp_path / "a.pth"
    torch.save({}, checkpoint)
    start_from = {"method": "checkpoint", "checkpoint": str(checkpoint)}
    assert user_files(changed(config, init=start_from), "init") == {"init.checkpoint": checkpoint}
    numbers = changed(config, export={"numbers": str(manifest)})
    assert user_files(numbers, "cluster") == {}, "read at the end only"
    assert user_files(numbers, "cluster", final=True) == {"export.numbers": manifest}
