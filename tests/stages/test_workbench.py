"""Epochs in one process: the bytes of stages on their own, and what fails behind a stage."""

import re
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from functools import partial

import h5py
import pytest
import torch

from mprd.artifacts import workbench
from mprd.config import dump_yaml, load_config
from mprd.data.pixels import PixelStore
from mprd.errors import UserError
from mprd.models.network import ReidNetwork
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.memory import Sizes, require_memory
from mprd.stages.run_stage import run_epochs
from tests.stage_server import python
from tests.stages.pipeline import changed, label, start, train
from tests.workflow.runs import contents

EPOCHS = 3
GIB = 2**30


@pytest.fixture(scope="module")
def config(judged_run):
    """Every stage that an epoch can have, and models that are means."""
    mean = {"average_from": 1}
    return changed(load_config(judged_run.config), epochs=EPOCHS, train=mean)


@pytest.fixture(scope="module")
def begun(config, tmp_path_factory):
    """A run with the labels of its first epoch."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    start(folder, config)
    label(folder, 1, config)
    return folder


@pytest.fixture
def copy(begun, tmp_path):
    return RunLayout(shutil.copytree(begun, tmp_path / "run"))


@pytest.fixture(scope="module")
def alone(begun, config, tmp_path_factory):
    """The run whose stages know nothing of each other."""
    folder = shutil.copytree(begun, tmp_path_factory.mktemp("alone") / "run")
    for epoch in range(1, EPOCHS + 1):
        if epoch > 1:
            label(folder, epoch, config)
        train(folder, epoch, config)
    return folder


def attributes(folder):
    """What the HDF5 files of a run say of themselves, but when they were made."""
    found = {}
    for path in folder.rglob("*.h5"):
        with h5py.File(path) as file:
            here = {name: repr(value) for name, value in file.attrs.items() if name != "created"}
            found[str(path.relative_to(folder))] = here
    return found


def test_the_bytes_are_those_of_stages_alone(alone, copy, config, monkeypatch):
    """Images are read once, and each stage builds its network once."""
    opened, built = [], []
    note(monkeypatch, PixelStore, opened)
    note(monkeypatch, ReidNetwork, built)
    run_epochs(copy.folder, first=1, last=EPOCHS, config=config)
    assert contents(copy.folder) == contents(alone)
    assert attributes(copy.folder) == attributes(alone)
    assert len(opened) == 1
    assert len(built) == 3, "features, train, learn"
    assert not list(copy.folder.rglob("*.partial"))


def test_in_a_group_nothing_is_written_behind(alone, copy, config, monkeypatch):
    """The other processes read what one wrote as soon as it is done."""
    monkeypatch.setattr("mprd.artifacts.files.write_behind", None)
    with workbench.workbench(behind=False):
        run_epochs(copy.folder, first=1, last=1, config=config)
    assert contents(copy.folder / "epochs/001") == contents(alone / "epochs/001")


def note(monkeypatch, kind, found):
    """Have each new object of a class noted."""
    begin = kind.__init__

    def init(self, *args, **kwargs):
        found.append(self)
        begin(self, *args, **kwargs)

    monkeypatch.setattr(kind, "__init__", init)


def epochs(run, config, *, before=None):
    """Begin the epochs in a process of their own."""
    run.config.write_text(dump_yaml(config))
    command = ["-m", "mprd.cli", "epochs", "--run", run.folder, "--first", 1, "--last", EPOCHS]
    threads = torch.get_num_threads()  # the bytes depend on them
    return subprocess.Popen(
        [python(), *map(str, [*command, "--config", run.config, "--threads", threads])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def made(folder):
    """The files of the epochs, in the order in which they appeared."""
    found = [p for p in (folder / "epochs").rglob("*.*") if not p.name.startswith(".")]
    found.sort(key=lambda path: path.stat().st_mtime_ns)
    return [str(path.relative_to(folder)) for path in found]


@pytest.mark.parametrize(
    ("last", "number", "code"), [("features", signal.SIGKILL, -9), ("model", signal.SIGTERM, 143)]
)
def test_a_kill_leaves_what_was_made_first(alone, copy, config, last, number, code):
    """Files that stages wrote behind each other are there up to one, and are whole."""
    process = epochs(copy, config)
    while not getattr(copy.epoch(2), last).exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert ("nothing is half-written" in said) == (number != signal.SIGKILL)
    assert "Traceback" not in said
    there = made(copy.folder)
    assert there == made(alone)[: len(there)]
    assert contents(copy.folder).items() <= contents(alone).items()
    if number != signal.SIGKILL:
        assert not list(copy.folder.rglob("*.partial"))
    run_epochs(copy.folder, first=2, last=EPOCHS, config=config)
    assert contents(copy.folder) == contents(alone)


def test_a_full_disk_ends_the_run_with_one_sentence(alone, copy, config):
    """What comes behind the file that fails is not written either; the run goes on from there."""
    before = made(copy.folder)
    limit = 2**16  # the network does not fit, the small files behind it would
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    process = epochs(copy, config, before=full)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2, said
    assert said.count(f"mprd: error: Cannot write {copy.epoch(1).model}") == 1
    assert "Traceback" not in said
    assert made(copy.folder) == before
    assert not list(copy.folder.rglob("*.partial"))
    run_epochs(copy.folder, first=1, last=EPOCHS, config=config)
    assert contents(copy.folder) == contents(alone)


def test_a_file_that_cannot_replace_a_folder_fails_the_run(copy, config):
    copy.epoch(2).graph.mkdir(parents=True)
    with pytest.raises(UserError, match=f"Cannot write {copy.epoch(2).graph}"):
        run_epochs(copy.folder, first=1, last=EPOCHS, config=config)
    assert copy.epoch(2).features.is_file()
    assert not copy.epoch(2).clusters.exists()
    assert not list(copy.folder.rglob("*.partial"))


def test_the_last_file_fails_the_run(copy, config):
    """Nothing comes behind it that would notice."""
    copy.epoch(1).gcn_metrics.mkdir(parents=True)
    with pytest.raises(UserError, match=f"Cannot write {copy.epoch(1).gcn_metrics}"):
        run_epochs(copy.folder, first=1, last=1, config=config)


def test_what_stays_in_memory_counts_and_gives_way(config, monkeypatch, capsys):
    """A stage is refused for its own sake only."""
    sizes, free = Sizes(images=100, dim=8), 10 * GIB
    for module in ("mprd.pipeline.memory", "mprd.system.ram"):
        monkeypatch.setattr(f"{module}.usable", lambda: free)
    with workbench.workbench(behind=True):
        workbench.keep("images", "", list, lambda kept: 4 * GIB)
        require_memory("graph", sizes, config)
        assert needed(capsys) > 4
        require_memory("graph", replace(sizes, pixels=4 * GIB), config)
        assert needed(capsys) < 4, "the stage counts these images itself"
        assert workbench.resident() == 4 * GIB
        free = 4 * GIB
        require_memory("graph", sizes, config)
        assert needed(capsys) < 4
        assert workbench.resident() == 0
        free = GIB // 16
        with pytest.raises(UserError, match="Stage graph needs"):
            require_memory("graph", sizes, config)


def needed(capsys):
    return float(re.search(r"needs about ([\d.]+) GiB", capsys.readouterr().err)[1])


def test_a_stage_that_is_short_of_memory_reads_the_images_again(copy, alone, config, monkeypatch):
    opened = []
    note(monkeypatch, PixelStore, opened)
    monkeypatch.setattr("mprd.stages.graph.require_memory", lambda *a: workbench.give_way())
    run_epochs(copy.folder, first=1, last=EPOCHS, config=config)
    assert len(opened) == EPOCHS
    assert contents(copy.folder) == contents(alone)
