"""What Snakemake runs again: for every setting, and for every file of the user's own."""

import json
import os
import re
import shutil
from functools import cache
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from mprd.artifacts.files import file_digest
from mprd.config import Config, expand_runs, merge
from mprd.config.load import known_keys
from mprd.data.datasets.fingerprint import fingerprint
from mprd.pipeline.plan import RunPlan
from mprd.pipeline.stages import STAGES
from mprd.pipeline.stages import stage as find_stage
from mprd.pipeline.stale import stale_jobs
from tests.workflow.dry_runs import ASKED, TARGETS, dry_run, planned
from tests.workflow.runs import GCN, configure
from tests.workflow.runs import snakemake as run_snakemake

SECTIONS = {key.rpartition(".")[0] for key in known_keys(Config)}
FIELDS = sorted(set(known_keys(Config)) - SECTIONS)

ALL_STAGES = {stage.name for stage in STAGES}
STEPS = ("1", "2", "end")


def every(*stages: str) -> set[str]:
    return {f"{stage}@{step}" for stage in stages for step in STEPS}


# Stage -> the stages that read what it makes. "@1": in epoch 1, whose features are the initial
# model's; "@2": in a later epoch; "@end": at the end. The clusters with doubtful pairs have more
# readers: see `readers_of`.
READERS = {
    "index": every("features", "transitions", "draft", "cluster", "ranks", "judge")
    | {"pixels", "init", "metadata", "pretrain", "preview", "train", "learn", "evaluate", "export"},
    "pixels": every("features")
    | {"init", "metadata", "pretrain", "train", "learn", "evaluate", "export", "report"},
    "init": {"features@1", "train", "learn", "evaluate", "metadata", "pretrain"},
    "features@1": {"graph@1", "ranks@1", "judge@1", "metadata", "pretrain", "train", "learn"},
    "features@2": {"graph@2", "ranks@2", "judge@2", "train", "learn"},
    "features@end": {"graph@end", "ranks@end", "judge@end", "export"},
    "graph@1": {"transitions@1", "draft@1", "cluster@1", "judge@1"}
    | {"metadata", "pretrain", "train", "learn"},
    "graph@2": {"transitions@2", "draft@2", "cluster@2", "judge@2", "train", "learn"},
    "graph@end": {"transitions@end", "draft@end", "cluster@end", "judge@end", "report"},
    "transitions@1": {"draft@1", "cluster@1"},
    "transitions@2": {"draft@2", "cluster@2"},
    "transitions@end": {"draft@end", "cluster@end", "report"},
    "ranks@1": {"pretrain", "judge@1", "train", "learn"},
    "ranks@2": {"judge@2", "train", "learn"},
    "ranks@end": {"judge@end"},
    "judge@1": {"cluster@1"},
    "judge@2": {"cluster@2"},
    "judge@end": {"cluster@end"},
    "draft@1": {"judge@1"},
    "draft@2": {"judge@2"},
    "draft@end": {"judge@end", "report"},
    "cluster@1": {"preview", "train", "table"},
    "cluster@2": {"train", "table"},
    "cluster@end": {"export", "report"},
    "metadata": {"pretrain", "learn"},
    "pretrain": {"judge@1", "train", "learn"},
    "preview": set(),
    "train": {"features@2", "features@end", "learn", "evaluate", "export", "table"},
    "learn": {"judge@2", "judge@end", "train"},
    "evaluate": {"table"},
    "export": {"report"},
    "table": {"report"},
    "report": set(),
}
# Values that cannot be derived from the old one.
VALUES: dict[str, Any] = {
    "data.dataset": "personx",
    "data.root": "elsewhere",
    "data.reader": "my_reader.py",
    "data.camera": "cam_(.)",
    "cluster.constraints": "answers.csv",
    "export.numbers": "earlier.csv",
    "model.backbone": "resnet18",
    "model.bn_group_size": 4,
    "init.method": "random",
    "init.checkpoint": "start.pth",
    "train.average_from": 1,
    "gcn.network": "gatv2",
    "cluster.method": "community",
    "data.time": "_([0-9]{6})_",
    "data.track": "^([0-9]{4}_c[0-9])",
    "data.side": "(left|right)",
    "data.time_format": "seconds",
    "train.memory": "camera",
    "gcn.metadata.file": "pairs.csv",
    "gcn.sort_k": 11,
    "gcn.learn": False,
    "gcn.unlabelled.positive_rank": 1,
    "device": "cuda",
    "features.batch": 32,
    "data.bits": 12,
}
# What must change with a field for the config to be valid.
WITH = {
    "gcn.metadata.file": {"gcn": {"metadata": {"source": "pairs"}}},
    "gcn.metadata.source": {"gcn": {"metadata": {"file": "pairs.csv"}}},
    "cluster.eps": {"graph": {"eps_max": 0.7}},
    "cluster.constrain_training": {"cluster": {"constraints": "answers.csv"}},
    "cluster.self_paced": {"cluster": {"method": "dbscan", "relation": "jaccard"}},
}
# No rule of a run depends on these; what they do is tested where they belong.
OF_THE_DAG = {"results", "runs", "seeds", "epochs", "epochs_per_job", "use_gcn", "processes"}
OF_THE_DAG |= {"cluster.relation", "data.features", "keep"}
OF_THE_DAG |= {"evaluate.every", "evaluate.baselines", "plugins"}
# Only one piece of each kind is shipped that could be named.
ONE_PIECE = {"train.extra_losses"}


def get(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = getattr(values, part)
    return values


def nested(key: str, value: Any) -> dict:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def annotation(key: str) -> Any:
    *sections, name = key.split(".")
    model: Any = Config
    for section in sections:
        model = model.model_fields[section].annotation
    return model.model_fields[name].annotation


def another(key: str, old: Any) -> Any:
    """Return a value other than the old one."""
    if key in VALUES:
        return VALUES[key]
    if get_origin(annotation(key)) is Literal:
        return next(choice for choice in get_args(annotation(key)) if choice != old)
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return old + 1
    if isinstance(old, float):
        return old * 0.9 if old else 0.01
    return [value + 1 for value in old]


@pytest.fixture(scope="module")
def asked(values):
    """The two runs of the finished workflow that are asked about."""
    return {**values, "runs": {run: values["runs"][run] for run in ASKED}}


@pytest.fixture(scope="module")
def folder(finished):
    """The finished workflow."""
    return finished[0]


def changed_values(values: dict, key: str) -> dict:
    """The config with another value of a field, in both runs."""
    old = expand_runs(values, "x")
    change = merge(nested(key, another(key, get(old[-1].config, key))), WITH.get(key, {}))
    runs = {name: merge(overrides, change) for name, overrides in values["runs"].items()}
    return {**merge(values, change), "runs": runs}


def stages_of(config: Config) -> set[str]:
    """The stages that a config asks for."""
    stages = set(READERS)
    if not config.use_gcn:
        stages -= {"metadata", "pretrain"}
    if not config.learns:
        stages -= {"learn"}
    if not config.uses_judgements:
        stages -= every("draft", "judge")
    if not config.uses_ranks:
        stages -= every("ranks")
    if not config.use_time:
        stages -= every("transitions")
    return stages


def readers_of(config: Config) -> dict[str, set[str]]:
    """READERS, with those of the clusters inside which the GCN finds doubtful pairs."""
    doubtful = "draft" if config.uses_judgements else "cluster"
    more = {f"{doubtful}@1": {"pretrain", "train", "learn"}, f"{doubtful}@2": {"train", "learn"}}
    return {stage: readers | more.get(stage, set()) for stage, readers in READERS.items()}


def keys_read(config: Config, name: str) -> tuple[str, ...]:
    """The settings that a stage reads, and those below a section that it reads."""
    name, _, step = name.partition("@")
    keys = find_stage(name).keys(config, final=step == "end")
    return tuple(f for f in FIELDS if any(f == key or f.startswith(f"{key}.") for key in keys))


def expected(before: dict, after: dict) -> dict[str, set[str]]:
    """Run -> stages to run again: those that read a changed field, and what follows."""
    wanted = {}
    pairs = zip(expand_runs(before, "x"), expand_runs(after, "x"), strict=True)
    for old, new in pairs:
        stages = stages_of(new.config)
        stale = stages - stages_of(old.config)
        stale |= {
            stage
            for stage in stages
            for config in (old.config, new.config)
            for key in keys_read(config, stage)
            if get(old.config, key) != get(new.config, key)
        }
        readers = readers_of(new.config)
        while more := {r for s in stale for r in readers[s]} & stages - stale:
            stale |= more
        wanted[new.name] = {stage.partition("@")[0] for stage in stale}
    return wanted


def ask(folder: Path, tmp_path: Path, cases: list[dict]) -> list[dict[str, set[str]]]:
    """Dry-run several configs on copies of a folder."""
    tasks = []
    for number, values in enumerate(cases):
        copy = tmp_path / str(number)
        shutil.copytree(folder, copy, copy_function=os.link)
        tasks.append((copy, values))
    with ThreadPool(2) as pool:
        return pool.map(dry_run, tasks)


def stale_stages(values: dict) -> dict[str, set[str]]:
    """Run -> stages that would run in the working directory, as `mprd status --stale` says."""
    found = {}
    for run in expand_runs(values, "x"):
        jobs = stale_jobs(RunPlan(run, listing, file_digest))
        found[run.name] = {stage for stage, _ in jobs if stage in ALL_STAGES}
    return found


@cache
def listing_of(*where: Any) -> str:
    return fingerprint(*where)


def listing(config: Config) -> str:
    return listing_of(config.data.dataset, config.data.root, config.data.reader)


def test_every_setting_runs_again_just_what_reads_it(folder, monkeypatch, asked):
    monkeypatch.chdir(folder)
    assert stale_stages(asked) == {run: set() for run in ASKED}
    fields = [key for key in FIELDS if key not in OF_THE_DAG | ONE_PIECE]
    cases = [changed_values(asked, key) for key in fields]
    expectations = [expected(asked, case) for case in cases]
    wrong, touched = {}, {}
    for key, wanted, case in zip(fields, expectations, cases, strict=True):
        found = stale_stages(case)
        touched[key] = set().union(*wanted.values()) - {"report"}  # it tells all settings
        if found != wanted:
            wrong[key] = {run: (found[run] ^ wanted[run]) for run in wanted}
    assert wrong == {}
    assert touched["device"] == touched["graph.search_memory_mb"] == set()
    assert touched["features.batch"] == set()
    approximate = expectations[fields.index("graph.min_recall")]
    assert approximate["tiny"] == {"report"}, "its graph is exact"
    assert {"graph", "ranks"} <= approximate["gcn"]
    exact = expectations[fields.index("graph.backend")]
    assert "ranks" not in exact["gcn"]
    assert touched["data.synthetic.seed"] == set(), "the data set is another"
    assert len([key for key in fields if touched[key]]) > 70


# One for each stage that reads settings, or nearly so.
AS_SNAKEMAKE = (
    "data.height",
    "init.method",
    "precision",
    "graph.k1",
    "graph.backend",
    "time.weight",
    "cluster.eps",
    "cluster.constraints",
    "gcn.metadata.images",
    "gcn.batch",
    "gcn.neighbors",
    "gcn.learn",
    "train.lr",
    "evaluate.flip",
    "export.numbers",
    "device",
)


def test_snakemake_runs_what_is_stale(folder, tmp_path, asked, monkeypatch):
    cases = [changed_values(asked, key) for key in AS_SNAKEMAKE]
    plans = dict(zip(AS_SNAKEMAKE, ask(folder, tmp_path, cases), strict=True))
    monkeypatch.chdir(folder)
    assert plans == {key: stale_stages(case) for key, case in zip(AS_SNAKEMAKE, cases, strict=True)}


def test_settings_of_the_dag(folder, tmp_path, asked):
    cases = {
        "baselines": {"evaluate": {"every": 1, "baselines": ["random"]}},
        "every": {"evaluate": {"every": 0}},
        "epochs": {"epochs": 4},
        "fewer": {"epochs": 2},
    }
    asked = ask(folder, tmp_path, [merge(asked, change) for change in cases.values()])
    plans = dict(zip(cases, asked, strict=True))
    table = {"table", "report"}
    assert plans["baselines"] == {"tiny": table, "gcn": set()}
    assert plans["every"] == {"tiny": table, "gcn": set()}
    epoch = {"features", "graph", "cluster", "train", "evaluate", "export"} | table
    timed = {"transitions", "ranks", "draft", "judge", "learn"}
    assert plans["epochs"] == {"tiny": epoch, "gcn": epoch | timed}
    end = {"features", "graph", "cluster", "export"} | table
    judged = {"transitions", "ranks", "draft", "judge", "evaluate"}
    assert plans["fewer"] == {"tiny": end, "gcn": end | judged}


def test_stages_that_stay_in_a_changed_run(folder, tmp_path, asked):
    """Counts: what of an epoch depends on a setting, and what does not."""
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=os.link)
    (copy / "config.yaml").unlink()  # a link to that of the finished workflow
    configure(copy, merge(asked, {"cluster": {"eps": 0.55}}))
    text = run_snakemake(copy, "--dry-run", "--quiet", "host", "--", TARGETS[0])
    table = text.partition("job")[2].partition("total")[0]
    plan = {name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}
    # Those of epochs 2 and 3, and at the end.
    assert plan["features"] == 3, "the first epoch's features do not depend on eps"
    assert plan["evaluate"] == 3, "neither does the evaluation of the initial model"


@pytest.fixture
def own(folder, tmp_path, asked):
    """A finished run that reads files of the user's own: reader, checkpoint, judged pairs."""
    place = tmp_path / "own"
    place.mkdir()
    model = folder / "results/tiny/init/model.safetensors"
    shutil.copy(model, place / "start.safetensors")
    reader = """
from mprd.data.datasets import ImageRecord, register
from mprd.data.datasets.market1501 import LAYOUT

@register("mine")
def read_mine(root):
    return LAYOUT.read(root)
"""
    (place / "reader.py").write_text(reader)
    root = Path(asked["data"]["root"]) / "market1501/Market-1501-v15.09.15"
    names = sorted(p.name for p in (root / "bounding_box_train").iterdir())[:6]
    lines = [f"bounding_box_train/{name},{name[:4]}" for name in names + names[:0]]
    other = sorted(p.name for p in (root / "bounding_box_train").glob("0002*"))[:3]
    lines += [f"bounding_box_train/{name},0002" for name in other]
    (place / "labels.csv").write_text("path,identity\n" + "\n".join(lines) + "\n")
    changes = {
        "epochs": 1,
        "data": {"dataset": "mine", "root": str(root), "reader": "reader.py"},
        "init": {"method": "checkpoint", "checkpoint": "start.safetensors"},
        "evaluate": {"every": 0, "baselines": []},
        "runs": None,
    }
    labels = {"gcn": {"metadata": {"source": "labels", "file": "labels.csv"}}}
    labels |= {"use_time": False, "graph": {"backend": "auto"}}  # fewer jobs
    config = {**merge(asked, changes), "runs": {"gcn": merge(GCN, labels)}}
    configure(place, config)
    run_snakemake(place, "results/gcn/metrics.csv")
    return place


def stale(folder: Path) -> set[str]:
    return planned(run_snakemake(folder, "--dry-run", "--", "results/gcn/metrics.csv"))["gcn"]


def test_own_files_are_inputs(own):
    assert stale(own) == set()
    judged = {"metadata", "pretrain", "judge", "cluster", "train", "evaluate", "table"}
    epoch = {"features", "graph", "draft"} | judged
    for name, wanted in {
        "labels.csv": judged,
        "start.safetensors": {"init"} | epoch,
        "reader.py": {"index", "pixels", "init"} | epoch,
    }.items():
        path = own / name
        before, times = path.read_bytes(), path.stat()
        path.write_bytes(before + b"\n")
        assert stale(own) == wanted, name
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stale(own) == set()


def test_a_manifest_is_an_input(tmp_path, asked):
    root = Path(asked["data"]["root"]) / "market1501/Market-1501-v15.09.15/bounding_box_train"
    manifest = tmp_path / "images.csv"
    lines = [f"{path},{path.name[:4]}" for path in sorted(root.iterdir())]
    manifest.write_text("path,identity\n" + "\n".join(lines) + "\n")
    data = {"dataset": "folder", "root": str(manifest), "allow_outside": True}
    config = {**asked, "data": {**asked["data"], **data}}
    folder = configure(tmp_path / "run", {**config, "runs": {"gcn": {}}})
    target = "results/gcn/pixels.h5"
    run_snakemake(folder, target)
    assert "Nothing to be done" in run_snakemake(folder, target)
    manifest.write_text(manifest.read_text().replace(",0001", ",0009"))
    assert planned(run_snakemake(folder, "--dry-run", "--", target))["gcn"] == {"index", "pixels"}


def test_images_are_an_input(tmp_path, asked):
    """A new image in the folder is noticed."""
    market = Path(asked["data"]["root"]) / "market1501/Market-1501-v15.09.15/bounding_box_train"
    crops = shutil.copytree(market, tmp_path / "crops")
    config = {**asked, "data": {**asked["data"], "dataset": "folder", "root": str(crops)}}
    folder = configure(tmp_path / "run", {**config, "runs": {"gcn": {}}})
    target = "results/gcn/pixels.h5"
    run_snakemake(folder, target)
    assert "Nothing to be done" in run_snakemake(folder, target)
    shutil.copy(min(crops.iterdir()), crops / "new.jpg")
    assert planned(run_snakemake(folder, "--dry-run", "--", target))["gcn"] == {"index", "pixels"}


def test_unknown_pieces_are_told_before_anything_runs(tmp_path, asked):
    for change, message in (
        ({"cluster": {"method": "dbscam"}}, "Unknown clustering 'dbscam' (did you mean 'dbscan'?)"),
        ({"model": {"backbone": "resnet5"}}, "Unknown backbone 'resnet5'"),
        (
            {"evaluate": {"baselines": ["histgram"]}},
            "(did you mean 'histogram'?). Known: histogram",
        ),
        ({"gcn": {"network": "gat"}}, "Unknown relation network 'gat'"),
        ({"train": {"extra_losses": {"triplet": 1}}}, "Unknown loss 'triplet'"),
    ):
        folder = configure(tmp_path / "typo", {**merge(asked, change), "runs": {"tiny": {}}})
        output = run_snakemake(folder, check=False)
        assert message in output, json.dumps(change)
        assert "Traceback" not in output
        assert not (folder / "results").exists()
