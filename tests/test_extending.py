"""docs/extending.md: each example, put into the package as one new file, works at once."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/extending.md").read_text()
EXAMPLES = dict(
    re.findall(r"^## [^\n]*`(mprd/\S+\.py)`\n.*?```python\n(.*?)```", TEXT, re.S | re.M)
)

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
found = read_dataset("Work", Path("."))
assert [(r.path, r.split, r.identity, r.camera) for r in found.records][0] == (
    "train/7_2_1.png", "train", 7, 2)

from mprd.models.architecture import Architecture
from mprd.models.network import ReidNetwork
network = ReidNetwork(Architecture("plain", "gem", 0, 64, 32))
assert network(torch.randn(4, 3, 64, 32)).shape == (4, 128)

from mprd.losses.memories.registry import MEMORIES, MemoryInputs
from mprd.pairs.hard_pairs import HardPairs
from mprd.training.epoch import EpochTrainer, make_optimizer
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
total, hsd, ppa, center = trainer.losses(x, x.flip(0), rows, trainer.choose_pairs(rows))
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
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize("name", EXAMPLES)
def test_ten_lines_are_enough(name):
    lines = [line for line in EXAMPLES[name].splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith(("import", "from"))]) <= 10


def test_new_files_are_found_and_used(tmp_path):
    shutil.copytree(ROOT / "mprd", tmp_path / "mprd", ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in EXAMPLES.items():
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(code)
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "all of them work", done.stderr


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
