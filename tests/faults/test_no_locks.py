"""A file system that grants no locks: a note, and everything works all the same."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mprd.artifacts.disk import open_anyones
from mprd.config import dump_yaml
from mprd.inference.feature_files import read_array
from tests.stages.pipeline import GCN, JUDGED, changed

COMPILER = shutil.which("cc") or shutil.which("gcc")
PIPELINE = """
import sys
from pathlib import Path
from mprd.cli import main
from mprd.config import load_config
from mprd.inference.feature_files import read_array
from mprd.stages.report import run_report
from tests.stages.pipeline import finish
run = finish(Path(sys.argv[2]), load_config(Path(sys.argv[1])))
run_report(run=run.folder, out=run.report)
print(read_array(run.final.embeddings).shape)
sys.argv = ["mprd", "inspect", "--json", str(run.folder)]
main()
"""


@pytest.fixture(scope="module")
def without_locks(tmp_path_factory) -> dict[str, str]:
    """An environment in which `flock` fails with ENOLCK."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("preload") / "no_locks.so"
    source = Path(__file__).with_name("no_locks.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
    environment.pop("HDF5_USE_FILE_LOCKING", None)
    refused = "import fcntl, tempfile; fcntl.flock(tempfile.TemporaryFile(), fcntl.LOCK_EX)"
    done = subprocess.run(
        [sys.executable, "-c", refused], env=environment, capture_output=True, text=True
    )
    if os.strerror(errno.ENOLCK) not in done.stderr:
        pytest.skip("this system preloads nothing")
    return environment


def test_a_whole_run(tiny_config, tmp_path, without_locks):
    config = changed(tiny_config, **GCN | {"cluster": JUDGED}, epochs=1)
    (tmp_path / "c.yaml").write_text(dump_yaml(config))
    done = subprocess.run(
        [sys.executable, "-c", PIPELINE, tmp_path / "c.yaml", tmp_path / "run"],
        env=without_locks,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"the file system of {tmp_path / 'run'} grants no locks" in done.stdout
    assert "report.html" in {path.name for path in (tmp_path / "run").iterdir()}


def test_a_file_of_another_program(tmp_path, without_locks):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["features"] = np.eye(4, dtype=np.float32)
    code = (
        "import sys; from pathlib import Path; "
        "from mprd.inference.feature_files import read_array; "
        "print(read_array(Path(sys.argv[1])).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "f.h5"],
        env=without_locks,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "(4, 4)", done.stderr[-2000:]
    assert read_array(tmp_path / "f.h5").shape == (4, 4)


def test_where_there_are_locks_another_programs_file_is_locked(tmp_path):
    """A file that is being written is not read half."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["features"] = np.eye(4)
        file.flush()
        code = (
            "import sys; from pathlib import Path; from mprd.artifacts.disk import open_anyones; "
            "open_anyones(Path(sys.argv[1]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "f.h5"],
            env={k: v for k, v in os.environ.items() if k != "HDF5_USE_FILE_LOCKING"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert "unable to lock file" in done.stderr
    open_anyones(tmp_path / "f.h5").close()
