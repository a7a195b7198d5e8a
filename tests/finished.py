"""Fixtures: finished runs, all that there can be and next to nothing, and a browser."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mprd.artifacts import TRANSITIONS, read_artifact, write_artifact
from mprd.config import merge, validate
from mprd.pipeline.layout import RunLayout
from tests.conftest import TINY
from tests.stages.pipeline import GCN, JUDGED, changed, finish

HOSTILE = "<img src=x onerror=alert(1)>&\"'"


@pytest.fixture(scope="session")
def finished_run(once, tmp_path_factory):
    """Return a function: a copy, for this worker, of a run that one worker finishes for all."""

    def copy(name, config):
        made = once(f"{name}-run", lambda folder: finish(folder / name, config))
        folder = tmp_path_factory.mktemp("report") / name
        return RunLayout(shutil.copytree(made / name, folder, symlinks=True))

    return copy


@pytest.fixture(scope="session")
def judged_run(finished_run, tiny_config):
    """Identities, cameras, times, query and gallery, judged clusters, ranks, hard pairs."""
    more = {"cluster": JUDGED, "train": {"use_hsd": True}, "graph": {"backend": "ivf"}}
    more["use_time"] = True
    return finished_run("judged", changed(changed(tiny_config, **GCN), **more))


@pytest.fixture(scope="session")
def timed_run(judged_run, tmp_path_factory):
    """The judged run with times that tell who is who: 80 of 100 probable pairs pass in 15 s."""
    folder = tmp_path_factory.mktemp("timed") / "timed"
    shutil.copytree(judged_run.folder, folder)
    layout = RunLayout(folder)
    found = read_artifact(layout.final.transitions, TRANSITIONS)
    cameras = len(found["seeds"])
    edges = np.array([-40.0, -20.0, -10.0, 0.0, 10.0, 20.0, 40.0])
    seeds = np.zeros((cameras, cameras, 8), np.int64)
    seeds[0, 1], seeds[0, 2] = (0, 0, 20, 0, 0, 80, 0, 0), (5, 5, 5, 5, 5, 5, 5, 5)
    upper = np.triu(np.ones((cameras, cameras)))[:, :, None]
    arrays = {"edges": edges, "seeds": seeds, "evidence": found["evidence"]}
    arrays |= {"background": np.repeat(upper / 8, 8, axis=2)}
    arrays |= {"log_ratio": np.where(seeds > 0, 1.5, -1.0).astype(np.float32) * (upper > 0)}
    write_artifact(
        layout.final.transitions,
        TRANSITIONS,
        arrays,
        config={},
        inputs=found.inputs,
        attributes=found.attributes
        | {"unit": "seconds", "gain": 0.62, "error": 0.04, "auc": 0.84, "num_timed": 54},
    )
    return layout


def draw_crops(root):
    """Write crops of five people, one of them with a hostile name."""
    rng = np.random.default_rng(0)
    for who in range(5):
        colors = rng.integers(0, 255, (2, 3)).astype(float)
        for shot in range(6):
            image = np.repeat(colors, 16, axis=0)[:, None, :].repeat(16, axis=1)
            image = (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)
            name = HOSTILE if who == shot == 0 else f"{who}-{shot}"
            Image.fromarray(image).save(root / f"{name.replace('/', '-')}.png")


@pytest.fixture(scope="session")
def bare_run(once, finished_run):
    """Crops in one folder, without identities and cameras, one of them with a hostile name."""
    root = once("crops", draw_crops)
    values = merge(TINY, {"data": {"dataset": "folder", "root": str(root)}})
    config = validate(merge(values, {"train": {"use_hsd": False, "use_ppa": False}}), "bare")
    return finished_run("bare", config)


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
        options = ["--no-sandbox", "--disable-gpu", "--in-process-gpu", "--process-per-site"]
        engine = playwright.chromium.launch(executable_path=found, args=options)
        yield Pages(engine.new_context())
        engine.close()


class Pages:
    """Gives pages of one browser context: with one for each page, each starts processes."""

    def __init__(self, context):
        self.context = context

    def new_page(self, viewport=None, color_scheme=None):
        page = self.context.new_page()
        if viewport:
            page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=color_scheme)
        return page
