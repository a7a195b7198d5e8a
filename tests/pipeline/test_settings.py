"""Stages declare what they read: held against what they do read, on tiny data."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel

from mprd.config import Config, merge
from mprd.config.load import known_keys
from mprd.pipeline.inputs import epoch_inputs, initial_files, judge_inputs
from mprd.pipeline.layout import FinalLayout, RunLayout
from mprd.pipeline.settings import declared, keys_read, stage_settings, user_files
from mprd.report.page.overview import differing_settings
from mprd.stages.cluster import run_cluster
from mprd.stages.evaluate import run_evaluate
from mprd.stages.export import run_export
from mprd.stages.features import run_features
from mprd.stages.graph import run_graph
from mprd.stages.index import run_index
from mprd.stages.init import run_init
from mprd.stages.judge import run_judge
from mprd.stages.metadata import run_metadata
from mprd.stages.pixels import run_pixels
from mprd.stages.pretrain import run_pretrain
from mprd.stages.ranks import run_ranks
from mprd.stages.synthesize import run_synthesize
from mprd.stages.table import run_table
from mprd.stages.train import run_train
from tests.stages.pipeline import changed, label, start, train
from tests.stages.test_gcn_stages import GCN

SECTIONS = {
    key for key in known_keys(Config) if any(k.startswith(f"{key}.") for k in known_keys(Config))
}
FIELDS = sorted(set(known_keys(Config)) - SECTIONS)
# They decide where and how fast a stage computes, or what memory it is said to need.
NOT_RESULTS = {"device", "processes", "graph.search_memory_mb"}
ESTIMATES = {"train": {"graph.k1", "graph.backend"}, "pretrain": {"graph.k1", "graph.backend"}}


class Reader:
    """A config that notes which fields are read."""

    def __init__(self, model: BaseModel, seen: set[str], prefix: str = "") -> None:
        self._model, self._seen, self._prefix = model, seen, prefix

    def __getattr__(self, name: str) -> Any:
        kind = type(self._model)
        if name == "model_copy":
            return lambda update: Reader(
                self._model.model_copy(update=update), self._seen, self._prefix
            )
        if isinstance(getattr(kind, name, None), property):
            return getattr(kind, name).fget(self)
        value = getattr(self._model, name)
        if isinstance(value, BaseModel):
            return Reader(value, self._seen, f"{self._prefix}{name}.")
        if name in kind.model_fields:
            self._seen.add(self._prefix + name)
        return value


def expanded(keys: tuple[str, ...]) -> set[str]:
    """Fields that keys stand for: themselves, or all below a section."""
    return {
        field for field in FIELDS for key in keys if field == key or field.startswith(f"{key}.")
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_config):
    """A run with the GCN: the initial files and one epoch, and a checkpoint."""
    folder = tmp_path_factory.mktemp("reads")
    config = changed(tiny_config, **GCN)
    start(folder, config)
    label(folder, 1, config)
    train(folder, 1, config)
    label(folder, 2, config)
    layout = RunLayout(folder)
    shutil.copy(layout.epoch(1).clusters, layout.epoch(1).provisional_clusters)
    run_judge(judge_inputs(layout, 1, config), out=layout.epoch(1).judgements, config=config)
    shutil.copy(layout.initial_model, folder / "checkpoint.safetensors")
    return layout


def call(stage: str, run: RunLayout, out: Path, config: Any) -> None:
    """Run a stage on the files of a run; its output goes elsewhere."""
    first = run.epoch(1)
    shared = {"index": run.index, "pixels": run.pixels, "config": config}
    later = epoch_inputs(run, 2, config._model)
    {
        "synthesize": lambda: run_synthesize(out=out / "synthetic", config=config),
        "index": lambda: run_index(out=out / "i.h5", config=config),
        "pixels": lambda: run_pixels(index=run.index, out=out / "p.h5", config=config),
        "init": lambda: run_init(out=out / "m.safetensors", metrics=None, **shared),
        "features": lambda: run_features(model=run.initial_model, out=out / "f.h5", **shared),
        "graph": lambda: run_graph(
            features=first.features, index=run.index, out=out / "g.h5", config=config
        ),
        "cluster": lambda: run_cluster(
            index=run.index,
            graph=first.graph,
            out=out / "c.h5",
            config=config,
            judgements=first.judgements if config._model.uses_judgements else None,
        ),
        "ranks": lambda: run_ranks(
            index=run.index, features=first.features, out=out / "k.h5", config=config
        ),
        "judge": lambda: run_judge(
            judge_inputs(run, 1, config._model), out=out / "j.h5", config=config
        ),
        "metadata": lambda: run_metadata(initial_files(run), out=out / "d.h5", config=config),
        "pretrain": lambda: run_pretrain(
            initial_files(run),
            clusters=first.clusters,
            metadata=run.metadata,
            out=out / "gcn.safetensors",
            metrics=out / "gcn.json",
            config=config,
        ),
        "train": lambda: run_train(later, out=RunLayout(out).epoch(2), epoch=2, config=config),
        "evaluate": lambda: run_evaluate(
            out=out / "e.json", rankings=out / "r.h5", baseline="random", **shared
        ),
        "export": lambda: run_export(
            model=first.model,
            out=FinalLayout(out),
            gcn=first.gcn,
            **shared,
        ),
        "table": lambda: run_table(run=run.folder, out=out / "t.csv"),
    }[stage]()


PLAIN = {"use_gcn": False}
CAP = {"train": {"memory": "camera", "use_hsd": False, "use_ppa": False}}
IVF = {"graph": {"backend": "ivf", "min_recall": 0.5}}
COMMUNITY = {"cluster": {"method": "community", "gamma": 0.1}}
JUDGED = {"cluster": {"method": "community", "relation": "judged", "gamma": 0.1}}
PACED = {"cluster": {"self_paced": True}}
WIDENED = {"cluster": {"eps": 1e-6, "min_samples": 6, "widen_step": 0.3}}
# Stage -> changes that together make it read all that it declares.
VARIANTS: dict[str, list[dict]] = {
    "synthesize": [{"data": {"synthetic": {"train_identities": 2, "test_identities": 2}}}],
    "index": [{}],
    "pixels": [{}],
    "init": [
        {"init": {"method": "random"}},
        {"init": {"method": "warmup"}},
        {"init": {"method": "checkpoint", "checkpoint": "CHECKPOINT"}},
    ],
    "features": [{}],
    "graph": [{}, IVF],
    "cluster": [{}, WIDENED, COMMUNITY, JUDGED, PACED],
    "ranks": [IVF],
    "judge": [JUDGED],
    "metadata": [{}, {"gcn": {"metadata": {"source": "labels", "file": "LABELS"}}}],
    "pretrain": [
        {"gcn": {"unlabelled": {"source": source, "strict": 0.3}}}
        for source in ("cameras", "strict", "views")
    ],
    "train": [
        {},
        PLAIN,
        {"gcn": {"learn": False}},
        {"gcn": {"unlabelled": {"source": "strict", "strict": 0.3}}},
        {"gcn": {"unlabelled": {"source": "views"}}},
        {"use_gcn": False} | CAP,
    ],
    "evaluate": [{}],
    "export": [IVF, WIDENED, COMMUNITY, JUDGED, merge(IVF, JUDGED)],
    "table": [{}],
}


@pytest.mark.parametrize("stage", VARIANTS)
def test_a_stage_reads_what_it_declares(stage, run, tmp_path, tiny_config):
    read, promised = set(), set()
    for number, change in enumerate(VARIANTS[stage]):
        values = change
        if stage == "init" and change["init"]["method"] == "checkpoint":
            checkpoint = str(run.folder / "checkpoint.safetensors")
            values = {"init": {"method": "checkpoint", "checkpoint": checkpoint}}
        if "LABELS" in str(change):
            path = tmp_path / "labels.csv"
            path.write_text(labels_of(run))
            values = {"gcn": {"metadata": {"source": "labels", "file": str(path)}}}
        config = changed(changed(tiny_config, **GCN), **values)
        seen: set[str] = set()
        call(stage, run, tmp_path / str(number), Reader(config, seen))
        unsaid = NOT_RESULTS | ESTIMATES.get(stage, set())
        declares = expanded(keys_read(config, stage))
        assert seen - unsaid <= declares, f"{stage} reads what it does not declare ({change})"
        read |= seen
        promised |= declares
    assert promised - read == set(), f"{stage} declares what it never reads"


def labels_of(run: RunLayout) -> str:
    from mprd.artifacts import INDEX, read_artifact

    index = read_artifact(run.index, INDEX)
    lines = zip(index["path"][:12], index["identity"][:12], strict=True)
    return "path,identity\n" + "".join(f"{path},{who}\n" for path, who in lines)


def test_every_stage_is_checked():
    stages = {path.stem for path in (Path(run_train.__code__.co_filename).parent).glob("*.py")}
    helpers = {"__init__", "epochs", "needs", "pairs", "relation_epoch", "relation_sources"}
    helpers |= {"cluster_answers", "cluster_numbers", "data_fence", "epoch_state", "exclusive"}
    helpers |= {"memory_checks", "open_pixels"}
    assert set(VARIANTS) == stages - helpers - {"report"}
    with pytest.raises(ValueError, match="unknown stage 'trian'"):
        declared("trian")
    with pytest.raises(ValueError, match="declares no SETTINGS"):
        declared("memory_checks")


def test_a_report_is_of_all_settings():
    """It names each that differs from its default, but those that do not change a result."""
    elsewhere = {"results", "runs", "seeds", "device", "processes", "epochs_per_job"}
    assert expanded(declared("report").settings) == set(FIELDS) - elsewhere
    values = {"device": "cpu", "seed": 3, "train": {"iters": 7, "extra_losses": {"mine": 2.0}}}
    assert differing_settings(Config.model_validate(values)) == [
        ("seed", "3", "0"),
        ("train.iters", "7", "400"),
        ("train.extra_losses.mine", "2.0", ""),
    ]


def test_declared_keys_exist():
    for stage in (*VARIANTS, "report"):
        declaration = declared(stage)
        keys = {*declaration.settings, *declaration.files}
        for condition, more in declaration.when:
            keys |= {*condition, *more}
        assert keys <= set(known_keys(Config)), stage


def test_settings_are_nested_as_in_the_config():
    config = Config()
    sizes = {"height": 256, "width": 128, "allow_outside": False}
    assert stage_settings(config, "pixels") == {"data": sizes}
    stored = {"precision": "auto", "features": {"dtype": "float32"}}
    assert stage_settings(config, "features") == stored
    assert stage_settings(config, "cluster") == {"cluster": config.cluster.model_dump(mode="json")}


def test_own_files_are_those_that_are_there(tmp_path, tiny_config):
    manifest = tmp_path / "images.csv"
    config = changed(tiny_config, data={"dataset": "folder", "root": str(manifest)})
    assert user_files(config, "index") == [], "a missing one is left to the stage"
    manifest.write_text("path\n")
    assert user_files(config, "index") == [manifest]
    assert user_files(config, "pixels") == []
    torch.save({}, tmp_path / "a.pth")
    start_from = {"method": "checkpoint", "checkpoint": str(tmp_path / "a.pth")}
    assert user_files(changed(config, init=start_from), "init") == [tmp_path / "a.pth"]
