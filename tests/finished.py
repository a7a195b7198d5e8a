"""Fixtures: two finished runs, all that there can be and next to nothing, and a browser."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mprd.config import merge, validate
from tests.conftest import TINY
from tests.stages.pipeline import GCN, JUDGED, changed, finish

HOSTILE = "<img src=x onerror=alert(1)>&\"'"


@pytest.fixture(scope="session")
def judged_run(tmp_path_factory, tiny_config):
    """Identities, cameras, times, query and gallery, judged clusters, ranks, hard pairs."""
    more = {"cluster": JUDGED, "train": {"use_hsd": True}, "graph": {"backend": "ivf"}}
    more["use_time"] = True
    config = changed(changed(tiny_config, **GCN), **more)
    return finish(tmp_path_factory.mktemp("report") / "judged", config)


@pytest.fixture(scope="session")
def bare_run(tmp_path_factory):
    """Crops in one folder, without identities and cameras, one of them with a hostile name."""
    root = tmp_path_factory.mktemp("crops")
    rng = np.random.default_rng(0)
    for who in range(5):
        colors = rng.integers(0, 255, (2, 3)).astype(float)
        for shot in range(6):
            image = np.repeat(colors, 16, axis=0)[:, None, :].repeat(16, axis=1)
            image = (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)
            name = HOSTILE if who == shot == 0 else f"{who}-{shot}"
            Image.fromarray(image).save(root / f"{name.replace('/', '-')}.png")
    values = merge(TINY, {"data": {"dataset": "folder", "root": str(root)}})
    config = validate(merge(values, {"train": {"use_hsd": False, "use_ppa": False}}), "bare")
    return finish(tmp_path_factory.mktemp("report") / "bare", config)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, of the system: nothing is downloaded."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), "")
    if not found:
        if os.environ.get("MPRD_NEEDS_BROWSER"):
            pytest.fail("MPRD_NEEDS_BROWSER is set, but there is no chromium on the PATH.")
        pytest.skip("no chromium on the PATH: pages are not looked at in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        engine = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield engine
        engine.close()
