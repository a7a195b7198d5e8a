"""A run that decisions may change, and its page."""

import shutil

import pytest

from mprd.pipeline.layout import RunLayout
from tests.browsing.people import browsing


@pytest.fixture
def run(bare_run, tmp_path):
    return RunLayout(shutil.copytree(bare_run.folder, tmp_path / "run"))


@pytest.fixture
def server(run):
    with browsing(run.folder) as one:
        yield one
