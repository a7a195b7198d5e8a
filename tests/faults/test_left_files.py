"""What lies on the disk beside results: modes, and files of killed writers."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mprd.artifacts.partials import partial_path, remove_partials
from mprd.cli.follow import Follower
from mprd.data.synthetic.dataset import generate
from mprd.inference.feature_files import write_array
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import RunLock
from mprd.report.page.thumbnails import Thumbnails
from mprd.stages.report import run_report
from tests.stages.pipeline import GCN, changed, finish


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_every_file_has_the_mode_of_the_umask(tiny_config, tmp_path, umask):
    before = os.umask(umask)
    try:
        config = changed(tiny_config, **GCN, epochs=1)
        run = finish(tmp_path / "run", config)
        run_report(run=run.folder, out=run.report)
        write_array(np.eye(3), tmp_path / "a.npy")
        small = {"train_identities": 2, "test_identities": 2, "distractors": 0, "cameras": 2}
        settings = changed(config, data={"synthetic": small}).data.synthetic
        generate(settings, tmp_path / "drawn", threads=1, height=32, width=16)
        Follower(run, 2).look()
        lock = RunLock(run)
        found = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
        lock.release()
    finally:
        os.umask(before)
    kinds = {path.suffix for path in found}
    assert {".h5", ".safetensors", ".pt", ".json", ".html", ".csv", ".npy", ".lock"} <= kinds
    for path, mode in found.items():
        assert mode == (0o777 if path.is_dir() else 0o666) & ~umask, path


def partial(folder: Path, host: str, process: int, age: float = 0) -> Path:
    path = folder / f".graph.h5.{host}{process}.partial"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def ended() -> int:
    """The number of a process that is gone."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_what_killed_writers_left_goes_and_nothing_else(tmp_path):
    run = RunLayout(tmp_path / "run")
    folder = run.epoch(1).folder
    folder.mkdir(parents=True)
    mine = partial_path(folder / "graph.h5")
    host = mine.name.split(".")[3].partition("-")[0] + "-"
    mine.touch()
    day = 86_400
    gone = [
        partial(folder, host, ended()),
        partial(run.folder, host, 10**9),
        partial(folder, host, 10**30),
        partial(folder, host, 1, 10 * 365 * day),  # the number is taken again
        partial(folder, "00000000-", 7, 2 * day),  # of another machine
        partial(folder, "", 7, 2 * day),  # of an older mprd
    ]
    stays = [
        mine,
        partial(folder, host, os.getppid()),
        partial(folder, "00000000-", 8),
        partial(folder, "", 8),
        folder / "graph.h5",
        folder / "notes.partial",
        folder / ".hidden.partial",
    ]
    for path in stays:
        path.touch()
    drawn = tmp_path / f".synthetic-0.{host}{ended()}.partial"
    (drawn / "query").mkdir(parents=True)
    outside = tmp_path / "user"
    outside.mkdir()
    (outside / "kept").touch()
    link = folder / f".link.{host}{ended()}.partial"
    link.symlink_to(outside)
    remove_partials(run.folder)
    remove_partials(tmp_path, ".synthetic-0.*.partial")
    remove_partials(tmp_path / "none")
    assert not [path for path in (*gone, drawn) if os.path.lexists(path)]
    assert not link.is_symlink()
    assert all(path.exists() for path in (*stays, outside / "kept"))


def test_a_run_that_is_moved_meanwhile_is_a_sentence(cli, later, tmp_path, monkeypatch):
    """It was there when the command looked, and is gone when it reads the pictures."""
    monkeypatch.chdir(tmp_path)
    images = Thumbnails.images

    def moved(self, rows):
        Path("run").rename("elsewhere")
        return images(self, rows)

    monkeypatch.setattr(Thumbnails, "images", moved)
    code, _, err = cli("report", "run")
    assert code == 2
    assert "run/pixels.h5: No such file or directory. If it was moved or removed meanwhile" in err
