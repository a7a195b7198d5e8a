"""One finished workflow for all tests here: it takes minutes."""

import pytest

from tests.workflow.runs import RUNS, TOGETHER, TRAINED, configure, snakemake


@pytest.fixture(scope="session")
def values(tiny_values):
    """One DAG of runs with and without the GCN."""
    return {**tiny_values, "epochs": 3, "runs": RUNS}


@pytest.fixture(scope="session")
def finished(once, values):
    """A finished workflow, in a folder that shells would stumble over, and what it printed.

    Beside it lie the epochs of the same runs with two epochs in a job.
    """

    def finish(folder):
        configure(folder, values)
        (folder / "printed.txt").write_text(snakemake(folder))
        configure(folder, {**values, "runs": TOGETHER})
        snakemake(folder, *TRAINED)
        configure(folder, values)

    folder = once('it\'s a `$HOME` "work" (ü)', finish)
    return folder, (folder / "printed.txt").read_text()
