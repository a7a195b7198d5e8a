"""The clusters of the page: which come first, what is drawn, and what is said of the rest."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mprd.artifacts import CLUSTERS, read_artifact
from mprd.clustering.tracks import TrackGroups
from mprd.report.page import clusters as page_clusters
from mprd.report.page.blocks import Groups, Text
from mprd.report.page.clusters import clusters, outliers, picture_limits
from mprd.report.page.doubt import doubt, nearest_clusters
from mprd.report.page.found import found
from mprd.report.page.pages import run_page
from mprd.report.page.run_data import RunData
from mprd.report.page.thumbnails import fitting_height
from tests.stages.pipeline import changed, finish

SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=40).map(np.array)


@pytest.fixture(scope="module")
def untrained(tiny_config, tmp_path_factory):
    return finish(tmp_path_factory.mktemp("untrained") / "a run", changed(tiny_config, epochs=0))


def rows_of(section):
    """The groups of a section."""
    return [g for block in section.blocks if isinstance(block, Groups) for g in block.groups]


def lead(section):
    return next(block.text for block in section.blocks if block.kind == "lead")


def command(section):
    return next(block for block in section.blocks if block.kind == "command")


@given(st.lists(st.tuples(st.integers(-1, 3), st.floats(0, 1, width=32)), min_size=1, max_size=20))
def test_doubt_is_its_formula(images):
    labels = np.array([label for label, _ in images])
    inside = labels >= 0
    labels[inside] = np.unique(labels[inside], return_inverse=True)[1]
    membership = np.array([c for _, c in images], np.float32)
    expected = [1 - membership[labels == k].mean() for k in range(labels.max() + 1)]
    np.testing.assert_allclose(doubt(membership, labels), expected, atol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_the_nearest_cluster_is_its_definition(seed):
    """Each image against the mean relation to all images of each other cluster, tracks counted."""
    rng = np.random.default_rng(seed)
    tracks = TrackGroups.of_tracks(rng.integers(-1, 3, 12))
    labels = np.array([0, 1, 2, *rng.integers(-1, 3, len(tracks.first) - 3)])[tracks.group]
    dense = np.round(rng.random((12, 12)) * (rng.random((12, 12)) < 0.4), 1)
    first = np.zeros(12, bool)
    first[tracks.first] = True
    dense = np.maximum(dense, dense.T) * first * first[:, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mprd.report.page.doubt._ROWS", 5)
        near = nearest_clusters(csr_array(dense), labels, tracks)
    whole = dense[tracks.first][:, tracks.first][tracks.group][:, tracks.group]
    for i in range(12):
        means = [whole[i, labels == k].mean() * (k != labels[i]) for k in range(3)]
        assert near.relation[i] == pytest.approx(max(means))
        if max(means) > 0:
            assert means[near.cluster[i]] == pytest.approx(max(means))
        else:
            assert near.cluster[i] == -1


@given(SIZES, st.integers(8, 3000))
def test_pictures_are_limited_and_no_more_than_needed(sizes, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_clusters, "_PICTURES", limit)
        most, shown = picture_limits(sizes)
    assert np.minimum(sizes, most)[:shown].sum() <= limit
    if most < 100:
        assert np.minimum(sizes, most + 1).sum() > limit
    assert shown == len(sizes) or most == 4


@given(st.integers(1, 12_000), st.sampled_from([0.5, 1.0, 1.5]))
def test_more_pictures_are_smaller(count, ratio):
    height = fitting_height(count, ratio)
    assert height == 256 or count * height**2 * ratio <= 40e6
    assert height >= 45


def test_every_image_is_drawn_once_the_most_doubtful_cluster_first(timed_run):
    run = RunData(timed_run.folder)
    file = read_artifact(timed_run.final.clusters, CLUSTERS)
    assert outliers(run) is None, "there are none"
    groups = rows_of(clusters(run))
    drawn = [picture.path for group in groups for picture in group.pictures]
    assert sorted(drawn) == sorted(run.index["path"][run.rows])
    doubts = [group.keys[0] for group in groups]
    assert doubts == sorted(doubts, reverse=True)
    path_rows = {str(path): n for n, path in enumerate(run.index["path"][run.rows])}
    for group in groups:
        rows = [path_rows[p.path] for p in group.pictures]
        (label,) = set(file["labels"][rows].tolist())
        assert group.anchor == f"cluster-{file['number'][label]}"
        trust = file["membership"][rows]
        assert trust.tolist() == sorted(trust)
        assert group.keys[0] == pytest.approx(1 - trust.mean())
        assert group.title.startswith(f"cluster {file['number'][label]}, {len(rows)} image")
        assert not group.note
        for picture, one in zip(group.pictures, trust, strict=True):
            facts = dict(picture.facts)
            assert facts["cluster"] == f"{file['number'][label]}, relation {one:.2f}"
            assert facts["time"].startswith("frame ")
            assert facts["camera"] == picture.camera_name


def test_what_is_not_drawn_is_said(judged_run, monkeypatch):
    run = RunData(judged_run.folder)
    monkeypatch.setattr(page_clusters, "_MOST", 5)
    sizes = read_artifact(judged_run.final.clusters, CLUSTERS)["sizes"]
    assert sizes.max() > 5
    inspect = f"mprd inspect {judged_run.final.clusters} --cluster"
    for group in rows_of(clusters(run)):
        number = int(group.anchor.removeprefix("cluster-"))
        left = int(re.search(r", (\d+) image", group.title)[1]) - len(group.pictures)
        assert (left > 0) == bool(group.note)
        if left:
            assert group.note == (
                f"5 are drawn, evenly from doubtful to sure; {left} are not. "
                f"All: {inspect} {number}"
            )
    monkeypatch.setattr(page_clusters, "_PICTURES", 8)
    monkeypatch.setattr(page_clusters, "_MOST", 4)
    section = clusters(run)
    assert len(rows_of(section)) == 2
    (text,) = (block.text for block in section.blocks if isinstance(block, Text))
    assert text.startswith(f"The 2 most doubtful of {len(sizes)} clusters are drawn, ")
    assert f"{len(sizes) - 2} are not. final/clusters.csv has all." in text


def test_outliers_are_nearest_first_and_the_rest_is_said(judged_run, monkeypatch):
    run = RunData(judged_run.folder)
    run.clusters.arrays["labels"] = np.where(np.arange(54) % 3, run.labels, -1)
    out = int((run.labels < 0).sum())
    (group,) = rows_of(outliers(run))
    assert len(group.pictures) == out
    facts = [dict(picture.facts) for picture in group.pictures]
    near = [float(f.get("nearest cluster", "0, relation 0").rsplit(" ", 1)[1]) for f in facts]
    assert near == sorted(near, reverse=True)
    assert near[0] > 0
    for picture, fact in zip(group.pictures, facts, strict=True):
        assert fact["cluster"] == "none: an outlier"
        number = fact["nearest cluster"].split(",")[0] if "nearest cluster" in fact else "none"
        assert picture.note == f"near {number}"
    monkeypatch.setattr(page_clusters, "_OUTLIERS", 2)
    (group,) = rows_of(outliers(run))
    assert len(group.pictures) == 2
    assert group.note.startswith(f"{out - 2} more are not drawn. All: mprd inspect ")
    assert group.note.endswith(" --cluster -1")


def test_the_first_words(judged_run, bare_run, untrained):
    labelled, plain, start = (found(RunData(r.folder)) for r in (judged_run, bare_run, untrained))
    assert "The model was trained for 2 epochs. By the known identities: mAP " in lead(labelled)
    assert "identities" not in lead(plain)
    assert "These are the clusters of the start features: nothing was trained." in lead(start)
    assert command(labelled).command.startswith("mprd search IMAGE --model ")
    assert command(plain).command == f"mprd answer --run {bare_run.folder}"
    assert f"'{untrained.final.model}'" in command(start).command, "quoted for the shell"
    for section, run in ((labelled, judged_run), (plain, bare_run)):
        (strip,) = (block for block in section.blocks if block.kind == "strip")
        count = RunData(run.folder).labels.max() + 1
        assert len(strip.pictures) == min(12, count)
        text = section.blocks[1].text
        assert text == f"Clusters: not audited (mprd audit {run.folder} takes three minutes)."


def test_no_clusters(bare_run):
    run = RunData(bare_run.folder)
    run.clusters.arrays["labels"] = np.full(30, -1, np.int32)
    assert lead(found(run)).startswith("No clusters: all 30 images are outliers.")
    assert [block.text for block in clusters(run).blocks] == ["There are none."]
    assert len(rows_of(outliers(run))[0].pictures) == 30


def test_settings_are_last_and_folded(untrained):
    page = run_page(untrained.folder)
    last = page.rsplit("<section", 1)[1]
    assert last.startswith(' id="settings">\n<details><summary>')
    assert "<tr><td>epochs</td><td>0</td>" in last
    stored = json.loads(re.search(r'id="pictures">(.*?)</script>', page, re.S)[1])
    assert {"images", "facts", "cameras", "groups"} == set(stored)
    assert set(stored["images"]) == set(stored["facts"])
