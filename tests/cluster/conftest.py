"""Started by `make test-slurm` alone: a cluster and its runs take ten minutes."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.cluster.slurm import Cluster, missing

collect_ignore_glob = [] if os.environ.get("MPRD_SLURM") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def cluster():
    """A SLURM for all tests here."""
    why = missing()
    if why:
        pytest.skip(f"no SLURM: {why}")
    folder = Path(tempfile.mkdtemp(prefix="mprd-slurm-", dir="/var/lib"))
    with Cluster(folder) as running:
        yield running
    shutil.rmtree(folder)
