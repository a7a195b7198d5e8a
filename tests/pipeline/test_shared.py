"""What no run links to goes, unless another workflow may still need it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from mprd.artifacts.locks import only_writer
from mprd.config import expand_runs
from mprd.errors import UserError
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import lock_file, release_runs
from mprd.pipeline.shared import prune_shared, shared_folder


@pytest.fixture
def results(tmp_path):
    """Two runs: one links to an index and a start, the other to nothing; more that none needs."""
    for name in ("index-1", "index-2", "pixels-1", "init-1"):
        folder = shared_folder(tmp_path) / name
        folder.mkdir(parents=True)
        (folder / "file").write_text(name)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("")
    (tmp_path / "one/index.h5").symlink_to("../shared/index-1/file")
    (tmp_path / "one/init").mkdir()
    (tmp_path / "one/init/model.safetensors").symlink_to("../../shared/init-1/file")
    yield tmp_path
    release_runs()


def left(results: Path) -> list[str]:
    return sorted(path.name for path in shared_folder(results).iterdir())


def test_what_no_run_links_to_goes(results):
    removed = prune_shared(results)
    assert sorted(path.name for path in removed) == ["index-2", "pixels-1"]
    assert left(results) == ["index-1", "init-1"]
    assert (results / "one/index.h5").read_text() == "index-1"


def test_nothing_goes_while_another_workflow_works_there(results):
    code = (
        "import sys, time, pathlib; from mprd.pipeline.layout import RunLayout;"
        "from mprd.pipeline.run_lock import hold_runs;"
        "hold_runs([RunLayout(pathlib.Path(sys.argv[1]))]);"
        "print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(results / "two")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert prune_shared(results) == []
        other.kill()
    assert left(results) == ["index-1", "index-2", "init-1", "pixels-1"]
    time.sleep(0.1)
    assert len(prune_shared(results)) == 2


def test_nothing_goes_while_a_run_begins_that_has_no_settings_yet(results):
    """It makes its index first, which nothing links to before it is there."""
    (results / "new").mkdir()
    lock = FileLock(lock_file(RunLayout(results / "new")))
    with lock:
        assert prune_shared(results) == []
    assert len(prune_shared(results)) == 2


def test_what_a_stage_is_making_stays(results):
    """It may have outlived its workflow."""
    with only_writer(shared_folder(results) / "index-2/deep/index.h5"):
        assert [path.name for path in prune_shared(results)] == ["pixels-1"]
    assert [path.name for path in prune_shared(results)] == ["index-2"]


def test_no_run_is_called_like_it():
    with pytest.raises(UserError, match="no run can be called shared"):
        expand_runs({"runs": {"shared": {}}}, "x.yaml")
