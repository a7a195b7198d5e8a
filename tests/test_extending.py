"""docs/howto/extend.md: each example works, as a new file of the package and as a plugin."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mprd.artifacts import CLUSTERS, FEATURES, GRAPH, read_artifact, read_json
from mprd.clustering.graph_matrix import graph_distance
from mprd.gcn.weights import load_gcn
from mprd.models.weights import read_architecture
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.pieces import PIECES
from mprd.stages.evaluate import run_evaluate
from tests.stages.pipeline import GCN, changed, label, start, train

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/howto/extend.md").read_text()
EXAMPLES = dict(
    re.findall(r"^## [^\n]*`(mprd/\S+\.py)`\n.*?```python\n(.*?)```", TEXT, re.S | re.M)
)

LINES = re.findall(r"Table line: `(.+?)`", TEXT)

# Run with the package that holds the new files.
USE = """
import numpy as np, torch
from pathlib import Path
from types import SimpleNamespace
from scipy.sparse import csr_array
from mprd.config import validate
from mprd.pipeline.code_digest import code_digest
from mprd.pipeline.registry import check_names

values = {
    "use_gcn": True,
    "data": {"dataset": "Office"},
    "model": {"backbone": "plain"},
    "cluster": {"method": "components"},
    "train": {"extra_losses": {"center": 0.5}, "memory": "frozen",
              "use_hsd": True, "use_ppa": True},
    "evaluate": {"baselines": ["mean-color"]},
    "gcn": {"network": "sage"},
}
config = validate(values, "x")
check_names(config)
both = {"train": {"use_hsd": True, "use_ppa": True}}
assert code_digest("train", config) != code_digest("train", validate(both, "x"))

from mprd.data.datasets import read_dataset
for name in ("train/7_2_1.png", "gallery/8_0_1.png", "query/8_1_1.png"):
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).touch()
found = read_dataset("Office", Path("."))
assert [(r.path, r.split, r.identity, r.camera) for r in found.records][0] == (
    "train/7_2_1.png", "train", 7, 2)

from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork
network = ReidNetwork(Architecture("plain", "gem", 0, 64, 32))
assert network(torch.randn(4, 3, 64, 32)).shape == (4, 128)

from mprd.losses.memories.registry import MEMORIES, MemoryInputs
from mprd.pairs.hard_pairs import HardPairs
from mprd.training.epoch import make_optimizer
from mprd.training.step import EpochTrainer
labels = torch.tensor([0, 0, 1, 1])
rows = torch.nn.functional.normalize(torch.randn(4, 128), dim=1)
unknown, alike = torch.full((4,), -1), torch.ones(4)
start = MemoryInputs(features=rows, labels=labels, cameras=unknown, weights=alike)
memory = MEMORIES[config.train.memory](start, config.train)
before = memory.prototypes.clone()
memory.update(torch.tensor([0, 2]), rows[[1, 3]])
assert torch.equal(memory.prototypes, before) and torch.equal(memory.instances[0], rows[1])
trainer = EpochTrainer(
    network=network, optimizer=make_optimizer(network, config.train, 1), memory=memory,
    pairs=HardPairs(labels, None), settings=config.train, augmentation=config.augment,
    generator=torch.Generator().manual_seed(0))
x = network(torch.randn(4, 3, 64, 32))
rows = torch.arange(4)
pairs = trainer.choose_pairs(trainer.expect(rows[None].numpy()).of_step(0))
total, hsd, ppa, center = trainer.losses(x, x.flip(0), rows, pairs)
assert torch.isclose(total, hsd + ppa + 0.5 * center)
assert torch.isclose(center, 1 - (x * memory.prototypes[labels]).sum(1).mean())

from mprd.clustering.registry import CLUSTERINGS
rows, columns, data = [0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2], [0.0, 0.0, 0.5, 0.5, 0.9, 0.9]
rows, columns, data = [*range(4), *rows], [*range(4), *columns], [0.0] * 4 + data
distance = csr_array((np.array(data, np.float32), (rows, columns)), shape=(4, 4))
assert CLUSTERINGS["components"](distance, config.cluster).tolist() == [0, 0, 0, -1]

from mprd.inference.registry import DESCRIPTORS
class Store(SimpleNamespace):
    def __len__(self): return 2
    def batch(self, rows):
        return torch.stack([torch.zeros(4, 2, 3), torch.full((4, 2, 3), 9)])[rows]
descriptor = DESCRIPTORS["mean-color"](config, Store())
assert np.allclose(np.linalg.norm(descriptor.embed(Store()), axis=1), 1)

from mprd.gcn.networks.registry import GcnShape, build_network
from mprd.gcn.subgraphs import pair_graphs
graphs = pair_graphs(torch.tensor([[0, 1], [2, 3]]), torch.tensor([[1, 2], [0, 2], [3, 1], [2, 0]]))
sage = build_network(GcnShape("raw", 6, network="sage"))
assert sage(graphs, sage.project(torch.randn(2, graphs.nodes.shape[1], 6))).shape == (2,)
print("all of them work")
"""


def test_there_is_one_of_each_kind():
    assert len(EXAMPLES) == len(LINES) == len(PIECES) == 7


@pytest.mark.parametrize("name", EXAMPLES)
def test_ten_lines_are_enough(name):
    lines = [line for line in EXAMPLES[name].splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith(("import", "from"))]) <= 10


def test_new_files_of_the_package_are_found_and_used(tmp_path):
    shutil.copytree(ROOT / "mprd", tmp_path / "mprd", ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in EXAMPLES.items():
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(re.sub(r"^@.*register\(.*\n", "", code, flags=re.M))
    table = tmp_path / "mprd/pipeline/pieces.py"
    for line in LINES:
        beside = re.escape(re.search(r': "(.+)\.\w+:', line)[1])  # another piece of this package
        entry = re.compile(rf'^( +)("[^"]+": "{beside}\.\w+:)', re.M)
        table.write_text(entry.sub(rf"\1{line}\n\1\2", table.read_text(), count=1))
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "all of them work", done.stderr


def test_plugins_take_part_in_a_whole_run(tmp_path, tiny_config, no_plugins):
    """Every example but the data set, whose plugin is `data.reader`, in the stages that use it."""
    codes = {Path(name).name: code for name, code in EXAMPLES.items() if "datasets" not in name}
    for name, code in codes.items():
        (tmp_path / name).write_text(code)
    config = changed(
        changed(tiny_config, **GCN),
        plugins=[str(tmp_path / name) for name in codes],
        model={"backbone": "plain"},
        cluster={"method": "components", "eps": 0.5},
        train={"extra_losses": {"center": 0.5}, "memory": "frozen"},
        gcn={"network": "sage"},
    )
    run = RunLayout(tmp_path / "run")
    start(run.folder, config)
    label(run.folder, 1, config)
    train(run.folder, 1, config)
    assert read_architecture(run.epoch(1).model)[0].backbone == "plain"
    metrics = read_json(run.epoch(1).metrics, "mprd.metrics", "train")
    assert 0 < metrics["center_loss"] < 2
    labels = read_artifact(run.epoch(1).clusters, CLUSTERS)["labels"]
    near = graph_distance(read_artifact(run.epoch(1).graph, GRAPH))
    near.data = near.data <= config.cluster.eps
    near.eliminate_zeros()
    i, j = near.nonzero()
    assert (labels[i] == labels[j]).all()
    assert labels.max() >= 1
    run_evaluate(
        index=run.index,
        pixels=run.pixels,
        baseline="mean-color",
        out=run.evaluation("mean-color"),
        rankings=run.rankings("mean-color"),
        config=config,
    )
    assert read_json(run.evaluation("mean-color"), "mprd.evaluation", "evaluate")["mAP"] > 0
    dim = read_artifact(run.epoch(1).features, FEATURES)["features"].shape[1]
    gcn, _ = load_gcn(run.epoch(1).gcn, dim)
    assert type(gcn).__name__ == "Sage"


def test_a_column_is_one_line(tmp_path, monkeypatch):
    from mprd.report import columns

    code = TEXT.partition("## A column")[2].partition("```python\n")[2].partition("```")[0]
    scope: dict = {}
    exec(code.replace("Column(", "made = Column(", 1).replace("import made = ", "import "), scope)
    assert scope["made"].name == "hard_positives"
    monkeypatch.setattr("mprd.stages.table.COLUMNS", (*columns.COLUMNS, scope["made"]))
    from mprd.stages.table import _metrics

    report = {"mean_hard_positives": 3.5, "loss": 1.0}
    found = _metrics(columns.Source.METRICS, report)
    assert found == {"loss": 1.0, "hard_positives": 3.5}


def test_a_stage_is_an_entry_a_function_and_a_rule(tmp_path, tiny_yaml, judged_run):
    section = TEXT.partition("## A stage")[2]
    entry, function, rule = re.findall(r"```python\n(.*?)```", section, re.S)
    declaration = re.search(r"`(smallest = File\(.*\))` in `StepLayout`", section)[1]
    copy = tmp_path / "copy"
    for name in ("mprd", "workflow"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name, before, new in (
        ("mprd/pipeline/stages.py", '    Stage(\n        name="train"', f"{entry.rstrip()},\n"),
        ("mprd/pipeline/layout.py", "    judgements = File(", f"    {declaration}\n"),
        ("workflow/rules/stages.smk", "use rule stage as train with", f"{rule}\n\n"),
    ):
        text = (copy / name).read_text()
        assert text.count(before) == 1
        (copy / name).write_text(text.replace(before, new + before))
    (copy / "mprd/stages/smallest.py").write_text(function)
    environment = {**os.environ, "PYTHONPATH": str(copy)}

    def call(*words):
        command = [sys.executable, "-m", *map(str, words)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    smallest = "epochs/001/smallest.json"
    options = ("--configfile", tiny_yaml, "--dry-run", "--printshellcmds")
    shown = call(
        "snakemake", "-s", copy / "workflow/Snakefile", *options, "--", f"results/tiny/{smallest}"
    )
    assert "mprd smallest --config results/tiny/config.yaml --clusters results/tiny" in shown
    assert "rule cluster" in shown
    clusters, out = judged_run.epoch(1).clusters, tmp_path / "smallest.json"
    call("mprd.cli", "smallest", "--clusters", clusters, "--out", out)
    sizes = read_artifact(clusters, CLUSTERS)["sizes"]
    assert read_json(out, "mprd.smallest", "smallest")["images"] == sizes.min()
