"""10,000 images and 1,000 clusters: what the page draws, and how long a decision takes."""

import io
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import coo_array

from mprd.browsing import desk, server
from mprd.browsing.looks import Looks
from mprd.browsing.run import Run
from mprd.clustering.tracks import TrackGroups
from mprd.data.added import nobody
from mprd.system.checks import unit_rows
from tests.browsing.people import act

CLUSTERS, IMAGES = 1000, 10_000


class Many(Run):
    """A run of which nothing is on disk but the log."""

    def __init__(self, folder):
        rng = np.random.default_rng(0)
        labels = np.repeat(np.arange(CLUSTERS), IMAGES // CLUSTERS)
        table = folder / "clusters.h5"
        table.touch()
        self.layout = SimpleNamespace(
            folder=folder,
            decisions=folder / "decisions.csv",
            final=SimpleNamespace(clusters=table, added=folder / "added.h5"),
        )
        self.seen = self._state()
        self.added, self.cameras, self.version = nobody(), [str(n + 1) for n in range(6)], "1"
        self.clusters = {"labels": labels, "number": np.arange(CLUSTERS)}
        self.index = SimpleNamespace(attributes={"camera_names": "[]", "time_unit": "seconds"})
        arrays = {"camera": rng.integers(0, 6, IMAGES), "time": rng.random(IMAGES) * 1e6}
        self.index = Index(arrays | {"identity": np.full(IMAGES, -1)}, self.index.attributes)
        self.rows = np.arange(IMAGES)
        self.paths = [f"day_1/camera_{n % 6}/image_{n:06d}.jpg" for n in range(IMAGES)]
        self.place = {path: row for row, path in enumerate(self.paths)}
        self.tracks = TrackGroups.of_tracks(np.full(IMAGES, -1))
        first = np.repeat(np.arange(IMAGES), 30)
        near = np.where(
            rng.random(len(first)) < 0.3, first // 10 * 10, rng.integers(0, IMAGES - 10, len(first))
        )
        second = near + rng.integers(0, 10, len(first))
        keep = first != second
        ends = np.stack([first[keep], second[keep]])
        both = np.unique(np.concatenate([ends, ends[::-1]], axis=1), axis=1)
        data = 0.3 + 0.6 * ((both.sum(axis=0) * 7919) % 997) / 997
        self.distance = coo_array((data, tuple(both)), shape=(IMAGES, IMAGES)).tocsr()
        self.looks = Looks.of(
            unit_rows(rng.normal(size=(IMAGES, 512)).astype(np.float32)), self.rows * 0
        )
        self.made = "2000-01-01T00:00:00Z"


class Index(dict):
    def __init__(self, arrays, attributes):
        super().__init__(arrays)
        self.attributes = attributes


class OneColour:
    ratio = 0.5

    def __init__(self, run):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 128), (90, 120, 150)).save(buffer, "WEBP")
        self.bytes = buffer.getvalue()

    def small(self, row):
        return self.bytes


@pytest.fixture
def many(tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "Run", Many)
    monkeypatch.setattr(server, "Pictures", OneColour)
    with server.BrowseServer(desk.Desk(tmp_path, lambda: "")) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def test_only_what_is_in_view_is_drawn(many, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(many.address)
    page.wait_for_selector("html[data-ready]")
    drawn = page.locator("article").count()
    assert drawn < 20
    assert page.locator("img").count() < 600
    took = page.evaluate(
        """async () => {
          const took = [];
          for (let y = 0; y < 100; y++) {
            const start = performance.now();
            scrollBy(0, 300);
            await new Promise(requestAnimationFrame);
            await new Promise(requestAnimationFrame);
            took.push(performance.now() - start);
          }
          return took.sort((a, b) => a - b);
        }"""
    )
    assert took[50] < 100, "two frames, and what is drawn in them"
    assert page.locator("article").count() < 25
    page.evaluate("() => scrollTo(0, 1e9)")
    page.locator("article[aria-posinset='1000']").wait_for()
    page.evaluate("() => scrollTo(0, document.body.scrollHeight / 2)")
    page.locator("article[aria-posinset='500']").wait_for()
    page.close()


def test_a_decision_takes_no_time(many):
    for n in range(3):
        act(many, "merge", clusters=[2 * n, 2 * n + 1])
    start = time.process_time()
    found = act(many, "confirm", clusters=[0])
    assert "done" in found
    assert time.process_time() - start < 3
