"""A disk that fills up while a stage writes: a sentence, nothing else touched, and it goes on."""

import errno
import re
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from mprd.artifacts.files import atomic
from mprd.artifacts.places import require_writable
from mprd.errors import Lack, UserError, is_full, lack_of_memory, remedy
from mprd.pipeline import run_lock
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import RunLock
from tests.faults.limits import full_disk
from tests.stage_server import python

# Files may not grow beyond so many bytes: like a full disk, in the middle of a write.
LIMIT = 4096


def run_limited(limit: int | None, *arguments: object) -> subprocess.CompletedProcess:
    """Run a command in a process whose files must stay small."""

    def restrict() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [python(), "-m", "mprd.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=restrict,
    )


@pytest.fixture
def copy(judged_run, tmp_path):
    shutil.copytree(judged_run.folder, tmp_path / "run")
    return type(judged_run)(tmp_path / "run")


def stages(run) -> dict[str, tuple[list[object], Path]]:
    """Return the arguments of stages, and the file that each writes first."""
    here, config = run.epoch(1), ["--config", run.config]
    aligned = ["--index", run.index]
    images = ["--index", run.index, "--pixels", run.pixels]
    return {
        "pixels": (["pixels", *config, "--index", run.index, "--out", run.pixels], run.pixels),
        "features": (
            ["features", *config, *images, "--model", run.initial_model, "--out", here.features],
            here.features,
        ),
        "graph": (
            ["graph", *config, *aligned, "--features", here.features, "--out", here.graph],
            here.graph,
        ),
        "init": (
            ["init", *config, *images, "--out", run.initial_model],
            run.initial_model,
        ),
    }


@pytest.mark.parametrize("stage", ["pixels", "features", "graph", "init"])
def test_a_full_disk_is_one_sentence(copy, stage):
    arguments, target = stages(copy)[stage]
    before = target.read_bytes()
    others = {path: path.stat().st_mtime_ns for path in copy.folder.rglob("*.*") if path != target}
    done = run_limited(LIMIT, *arguments)
    assert done.returncode == 2, done.stderr
    assert f"Cannot write {target}" in done.stderr
    assert "Traceback" not in done.stderr
    assert target.read_bytes() == before, "the file of the run before is intact"
    assert not list(copy.folder.rglob("*.partial"))
    kept = [path for path in others if path.suffix in (".h5", ".safetensors", ".pt", ".json")]
    assert all(path.stat().st_mtime_ns == others[path] for path in kept)
    done = run_limited(None, *arguments)
    assert done.returncode == 0, done.stderr


def test_what_the_disk_cannot_hold_is_not_begun(tmp_path):
    wanted = pytest.raises(UserError, match=r"it takes .* MiB, .* MiB are free")
    with wanted, atomic(tmp_path / "big.h5", size=2**60):
        raise AssertionError("begun")
    assert not (tmp_path / "big.h5").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"), atomic(tmp_path / "file/graph.h5"):
        raise AssertionError("begun")


def test_what_a_full_disk_needs_is_room(tmp_path):
    """And no other permissions. A run's lock is given back."""
    words = r"No space left|File too large"
    wanted = pytest.raises(UserError, match=rf"Cannot write into .*({words})\. Free space, or name")
    with full_disk(100), wanted:
        require_writable(tmp_path)
    run = RunLayout(tmp_path / "run")
    wanted = pytest.raises(UserError, match=rf"running\.json: ({words}).*Free space")
    (tmp_path / "run").mkdir()
    with full_disk(10), wanted, pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_lock, "require_writable", lambda folder: None)
        RunLock(run)
    RunLock(run).release()


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file/a.json", "a file has its name"),
        ("file/b/a.json", "a file has its name"),
        ("link/a.json", ".*/link is a link to .*/missing/folder, which does not exist"),
    ],
)
def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, place, why, lock):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "missing/folder")
    refused = pytest.raises(UserError, match=f"^Cannot write into .*: {why}")
    with refused, atomic(tmp_path / place, lock=lock):
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
@pytest.mark.parametrize("place", ["/proc/x/a.json", "/proc/x/y/a.json", "/proc/a.json"])
def test_a_place_that_takes_no_files_is_one_sentence(place):
    with pytest.raises(UserError, match="/proc/"), atomic(Path(place)) as temporary:
        temporary.touch()


@pytest.mark.parametrize("command", ["index", "synthesize", "new"])
def test_commands_refuse_a_folder_that_cannot_be_made(tiny_yaml, market, tmp_path, command):
    (tmp_path / "file").touch()
    given = {"index": ["--config", tiny_yaml], "synthesize": [], "new": [market]}
    done = run_limited(None, command, *given[command], "--out", tmp_path / "file/below/x.yaml")
    assert done.returncode == 2
    assert re.search(r"^mprd: error: Cannot write into ", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_a_limit_is_no_full_disk():
    error = OSError(errno.EFBIG, "File too large")
    assert "ulimit -f" in remedy(error)
    assert not is_full(error), "how much is free is beside the point"


def test_a_library_that_finds_no_room_is_too_little_memory():
    """As torch under `ulimit -v`; a library that is not there is a fault of the installation."""
    words = "libtorch_cpu.so: failed to map segment from shared object"
    assert lack_of_memory(ImportError(words)) == Lack(False, f"memory is too small ({words}).")
    assert lack_of_memory(ImportError("libtorch_cpu.so: cannot open shared object")) is None
