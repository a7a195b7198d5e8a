"""A tiny data set in the Market-1501 layout, and a config that runs it in seconds."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from filelock import FileLock
from hypothesis import settings
from PIL import Image

from mprd.cli import main
from mprd.config import Config, validate
from mprd.pipeline import registry
from mprd.pipeline.pieces import PIECES
from tests import stage_server

# Small matrices: a second thread makes them a third slower, and waiting ones must not spin.
# Where threads are the point, as in faults/test_threads.py, a test names their number.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

# No test cuts the power, and a disk takes milliseconds: tests of full disks bring their own.
os.fsync = lambda descriptor: None

# A slow machine is no failure of the code.
settings.register_profile("mprd", deadline=None)
settings.load_profile("mprd")

TINY = {
    "epochs": 2,
    "device": "cpu",
    "precision": "float32",  # the same on every machine
    "keep": "all",  # tests look at the files of all epochs
    "runs": {"tiny": {}},
    "data": {"dataset": "market1501", "height": 32, "width": 16},
    "model": {"backbone": "mini", "bn_group_size": 0},
    "init": {"method": "warmup", "warmup": {"steps": 3, "batch_size": 16}},
    "graph": {"k1": 6, "k2": 2},
    "cluster": {"eps": 0.6, "min_samples": 2},
    "augment": {"pad": 2},
    "train": {"iters": 3, "identities": 2, "instances": 4, "lr": 1e-3}
    | {"use_hsd": True, "use_ppa": True},
    "evaluate": {"every": 1, "baselines": ["random", "histogram"]},
}


def draw_market(root: Path, train_ids: int = 6, test_ids: int = 3, cameras: int = 3) -> Path:
    """Write images of two-coloured stripes, one pair of colours per identity."""
    rng = np.random.default_rng(0)
    folder = root / "market1501" / "Market-1501-v15.09.15"

    def draw(split: str, identity: int, camera: int, shot: int, colors: np.ndarray) -> None:
        image = np.repeat(colors, 16, axis=0)[:, None, :].repeat(16, axis=1)
        noisy = image * (0.9 + 0.05 * camera) + rng.normal(0, 12, image.shape)
        path = folder / split / f"{identity:04d}_c{camera + 1}s1_{shot:06d}_00.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)

    for identity in range(1, train_ids + test_ids + 1):
        colors = rng.integers(0, 255, (2, 3)).astype(float)
        for camera in range(cameras):
            if identity <= train_ids:
                for shot in range(3):
                    draw("bounding_box_train", identity, camera, shot, colors)
            else:
                draw("query", identity, camera, 0, colors)
                for shot in (1, 2):
                    draw("bounding_box_test", identity, camera, shot, colors)
    return root


def pytest_sessionstart(session: pytest.Session) -> None:
    """One server of stages serves all of pytest's workers, and imports while they collect."""
    if getattr(session.config.option, "numprocesses", None):
        stage_server.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: at the end a worker of `make test` would wait for them."""
    first = ("workflow", "tests")  # whole runs; then the benchmarks
    place = {name: number for number, name in enumerate(first)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(first)))


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable], Path]:
    """Return a folder of this name, filled by the first of pytest's workers that asks for it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all workers

    def fill(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = base / name, base / f"{name}.done"
        with FileLock(base / f"{name}.lock"):
            if not done.is_file():
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return fill


@pytest.fixture(scope="session")
def market(once: Callable[[str, Callable], Path]) -> Path:
    """Root of a tiny Market-1501: 54 train images of 6 identities, 9 query, 18 gallery."""
    return once("data", draw_market)


@pytest.fixture(scope="session")
def tiny_values(market: Path) -> dict:
    """Raw settings of the tiny run."""
    return {**TINY, "data": {**TINY["data"], "root": str(market)}}


@pytest.fixture(scope="session")
def tiny_config(tiny_values: dict) -> Config:
    """Checked settings of the tiny run."""
    return validate(tiny_values, "tiny")


@pytest.fixture
def tiny_yaml(tiny_values: dict, tmp_path: Path) -> Path:
    """The tiny config as a file."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_values))
    return path


@pytest.fixture
def cli(monkeypatch, capsys):
    """Return a function that runs `mprd` with arguments: exit code, output, errors."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["mprd", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture
def no_plugins() -> Iterator[None]:
    """Forget afterwards what plugins registered."""
    yield
    registry._loaded.clear()
    for kind in PIECES.values():
        kind.added.clear()


pytest_plugins = ["tests.finished", "tests.later"]
