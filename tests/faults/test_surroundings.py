"""Every command in every surroundings of the table: a sentence and exit code 0 or 2."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.faults.surroundings import leaves, prepare

ROOT = Path(__file__).parents[2]
LONG = ["--long"] if os.environ.get("MPRD_ALL_SURROUNDINGS") else []  # make test-surroundings


def test_the_table(judged_run, market):
    with tempfile.TemporaryDirectory(prefix="mprd-product-") as place:
        os.chmod(place, 0o755)
        product = Path(place) / "product"
        prepare(judged_run.folder, market / "market1501/Market-1501-v15.09.15", product)
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.surroundings", product, *LONG],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["faults"] == [], "\n".join(found["faults"])
    assert found["tries"] >= 2 * len(list(leaves()))


def test_no_command_is_left_out():
    names = {" ".join(words) for words, _ in leaves()}
    assert {"new", "run", "train", "cluster-features", "config check"} <= names


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be nobody")
def test_numba_where_neither_the_package_nor_a_home_can_be_written_to(request):
    """It compiles, keeps what it compiled in a folder of one's own, and says nothing."""
    code = (
        "import os, sys; sys.path[:0] = [sys.argv[1]]; import numba, scipy.sparse, sklearn.cluster;"
        "import mprd; import mprd.graph, mprd.clustering, mprd.retrieval;"
        "print(os.environ['XDG_CACHE_HOME'])"
    )
    become = (
        "import shlex, numba, pandas, h5py, pydantic, yaml, filelock, numpy.f2py, numpy.testing\n"
    )
    become += "import scipy.sparse, sklearn.cluster\n"
    become += "import os; os.setgroups([]); os.setgid(54321); os.setuid(54321); "
    temporary = Path(tempfile.mkdtemp())  # the folders of pytest are open to its user only
    temporary.chmod(0o777)
    request.addfinalizer(lambda: shutil.rmtree(temporary))
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            become + code,
            ROOT,
        ],
        env={**environment, "TMPDIR": str(temporary)},
        cwd=temporary,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(temporary / "mprd-cache-54321"), done.stderr
    assert done.stderr == ""
