"""One finished workflow for all tests here: it takes minutes."""

import pytest

from tests.workflow.runs import RUNS, configure, snakemake


@pytest.fixture(scope="session")
def values(tiny_values):
    """One DAG of runs with and without the GCN, an epoch a job and two."""
    return {**tiny_values, "epochs": 3, "runs": RUNS}


@pytest.fixture(scope="session")
def finished(tmp_path_factory, values):
    """A finished workflow, in a folder that shells would stumble over, and what it printed."""
    folder = configure(tmp_path_factory.mktemp('it\'s a `$HOME` "work" (ü)'), values)
    return folder, snakemake(folder)
