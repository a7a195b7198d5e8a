"""What the report shows: its metrics against literal references, its HTML, in a real browser."""

import base64
import io
import os
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mprd.artifacts import CLUSTERS, INDEX, RANKINGS, read_artifact
from mprd.clustering.health import ClusterHealth, stability
from mprd.config import validate
from mprd.errors import UserError
from mprd.pipeline.layout import RunLayout
from mprd.report.page.clusters import camera_entropy, overlap
from mprd.report.page.embedding_map import plane
from mprd.report.page.health import FIGURES, advice, figures
from mprd.report.page.pages import SECTIONS, comparison_page, run_page
from mprd.report.page.pairs import least_similar_members
from mprd.report.page.retrieval import cmc
from mprd.report.page.run_data import RunData
from mprd.report.page.thumbnails import Thumbnails
from tests.finished import HOSTILE
from tests.stage_server import python

ANCHORS = ["found", "clusters", "outliers", "health", "start", "retrieval", "training", "pairs"]
ANCHORS += ["network", "map", "cost", "settings"]
# Elements that hide a part of what they hold; a table may scroll.
CUT = """[...document.querySelectorAll("body *")].filter(element => {
  const style = getComputedStyle(element), hides = flow => ["hidden", "clip"].includes(flow);
  return (hides(style.overflowX) && element.scrollWidth > element.clientWidth + 1)
    || (style.overflowY != "visible" && element.scrollHeight > element.clientHeight + 1);
}).map(element => element.outerHTML.slice(0, 80))"""
LABELS = st.lists(st.integers(-1, 4), min_size=1, max_size=20).map(np.array)


@pytest.fixture(scope="module")
def pages(judged_run, bare_run, timed_run):
    runs = (judged_run.folder, bare_run.folder)
    pages = {run.name: run_page(run) for run in (*runs, timed_run.folder)}
    return pages | {"several": comparison_page(runs)}


def test_all_sections_are_there(pages):
    def found(page):
        return re.findall(r'<section id="(\w+)">', page)

    for name, absent in (("judged", {"outliers"}), ("bare", {"outliers", "retrieval", "network"})):
        assert found(pages[name]) == [anchor for anchor in ANCHORS if anchor not in absent]
    assert len(SECTIONS) == len(ANCHORS)


def test_it_is_small_and_asks_for_nothing(pages):
    for page in pages.values():
        assert len(page) < 15e6
        markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
        assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]+"', markup)
        assert "http-equiv" not in page


def test_its_bytes_are_reproducible(timed_run, tmp_path):
    """Two processes draw the same page: the random ids of the plots are counted instead."""
    command = ["-m", "mprd.cli", "report", timed_run.folder, "--out"]
    for program, name in ((sys.executable, "a.html"), (python(), "b.html")):
        subprocess.run([program, *command, tmp_path / name], check=True, capture_output=True)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_names_of_files_are_text(pages):
    assert "<img src=x" not in pages["bare"]
    assert "\\u003cimg src=x onerror=alert(1)\\u003e" in pages["bare"]
    assert "&lt;img src=x onerror=alert(1)&gt;" in pages["bare"]
    # In the script that holds the plots a tag could end it.
    assert HOSTILE not in pages["bare"]


def test_what_it_says_is_what_the_files_say(pages, judged_run):
    page = pages["judged"]
    run = RunData(judged_run.folder)
    labels = run.labels
    (lead,) = re.findall(r'<p class="lead">(.*?)</p>', page)
    clusters, outliers = labels.max() + 1, np.sum(labels < 0)
    assert lead.startswith(f"{clusters} clusters hold {54 - outliers} of 54 images; {outliers} are")
    assert f"mAP {100 * run.epochs['mAP'].iloc[-1]:.1f}, rank-1" in lead
    assert "<tr><td>cluster.relation</td><td>judged</td><td>jaccard</td></tr>" in page
    best = read_artifact(run.last_evaluation, RANKINGS)["average_precision"].max()
    assert f"AP {100 * best:.0f} %" in page
    assert "Hard negatives of the last epoch that the GCN" in page
    assert "The GCN predicts" in page


def test_an_unfinished_run_is_told(tmp_path):
    with pytest.raises(UserError, match="is no folder of a run"):
        run_page(tmp_path)
    RunLayout(tmp_path).config.touch()
    with pytest.raises(UserError, match=r"is not finished.* Go on with `mprd run CONFIG`"):
        run_page(tmp_path)


def test_runs_side_by_side(pages, judged_run, bare_run):
    page = pages["several"]
    rows = dict(re.findall(r"<tr><td>([^<]+)</td>(.*?)</tr>", page))
    assert rows["use_gcn"] == "<td>true</td><td>false</td>"
    assert "train.lr" in rows
    assert "train.momentum" not in rows  # it is the same
    for run in (judged_run, bare_run):
        last = RunData(run.folder).epochs.iloc[-1]
        assert rows[run.folder.name].startswith(f"<td>{last['clusters']:.0f}</td>")
    assert (
        f"<td>{100 * RunData(judged_run.folder).epochs['mAP'].iloc[-1]:.1f}</td>" in rows["judged"]
    )
    named_alike = comparison_page([judged_run.folder, judged_run.folder])
    assert f"<td>{judged_run.folder}</td>" in named_alike


def test_the_clusters_before_training_stand_beside_those_after(pages, judged_run, bare_run):
    for run in (judged_run, bare_run):
        section = pages[run.folder.name].split('<section id="start">')[1].split("</section>")[0]
        rows = dict(re.findall(r"<tr><td>([^<]+)</td>(.*?)</tr>", section))
        both = [read_artifact(step.clusters, CLUSTERS) for step in (run.epoch(1), run.final)]
        assert rows["clusters"] == "".join(f"<td>{len(one['sizes'])}</td>" for one in both)
        agreement = stability(both[1]["labels"], both[0]["labels"])
        assert f"Agreement of the two: pair F1 {agreement:.2f}." in section
        assert f"mprd audit {run.folder} --start takes three minutes" in rows["audit"]
        known = not np.isnan(both[0].attributes["pair_f1"])
        assert ("pair F1, by the identities" in rows) == known == (run is judged_run)
        assert ("No score without labels can tell" in section) != known
        assert (f"mprd audit {run.folder} --beside start." in section) != known


def test_frames_are_the_truth(pages, judged_run):
    """Every ranked image is framed by whether it shows the query's identity."""
    index = read_artifact(judged_run.index, INDEX)
    identity = {str(p): int(i) for p, i in zip(index["path"], index["identity"], strict=True)}
    block = pages["judged"].split('<section id="retrieval">')[1].split("</section>")[0]
    strips = block.split('<div class="strip">')[1:]
    assert strips
    for strip in strips:
        shown = re.findall(r'<figure class="(\w+)">\s*<button [^>]*><img alt="([^",]+)', strip)
        assert shown[0][0] == "query"
        for mark, path in shown[1:]:
            same = identity[path] == identity[shown[0][1]]
            assert mark == ("right" if same else "wrong")


def test_thumbnails_are_the_images(judged_run):
    addresses = Thumbnails(judged_run.pixels).addresses([5, 0, 5])
    assert sorted(addresses) == [0, 5]
    with h5py.File(judged_run.pixels) as file:
        pixels = file["pixels"][:]
    for row, address in addresses.items():
        data = base64.b64decode(address.removeprefix("data:image/webp;base64,"))
        shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)
        assert shown.shape == pixels[row].shape
        assert np.abs(shown - pixels[row].astype(int)).mean() < 12
    small = Thumbnails(judged_run.pixels).addresses([0], height=16)[0]
    assert Image.open(io.BytesIO(base64.b64decode(small.split(",")[1]))).size == (8, 16)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30))
def test_cmc_counts_hits(ranks):
    x, curves = cmc(np.array(ranks), most=50)
    (share,) = curves.values()
    for rank, value in zip(x, share, strict=True):
        assert value == pytest.approx(np.mean([0 < r <= rank for r in ranks]))


@settings(deadline=None)
@given(LABELS, st.randoms(use_true_random=False))
def test_entropy_and_overlap_are_their_formulas(raw, random):
    labels = np.full(len(raw), -1)
    labels[raw >= 0] = np.unique(raw[raw >= 0], return_inverse=True)[1]
    cameras = np.array([random.randint(-1, 2) for _ in labels])
    before = np.array([random.randint(-1, 3) for _ in labels])
    entropy, kept = camera_entropy(labels, cameras), overlap(labels, before)
    assert len(entropy) == len(kept) == labels.max() + 1
    for k in range(labels.max() + 1):
        seen = cameras[(labels == k) & (cameras >= 0)]
        share = np.bincount(seen) / max(len(seen), 1)
        expected = -sum(p * np.log2(p) for p in share if p > 0)
        assert entropy[k] == pytest.approx(expected)
        ours = set(np.flatnonzero(labels == k))
        others = [set(np.flatnonzero(before == b)) for b in set(before[before >= 0].tolist())]
        assert kept[k] == max((len(ours & o) / len(ours | o) for o in others), default=0)


def test_least_similar_members():
    features = np.array([[1, 0], [0.8, 0.6], [0, 1], [1, 0], [0.6, 0.8]], np.float32)
    i, j, cosine = least_similar_members(features, np.array([0, 0, 0, 1, -1]))
    assert {int(i[0]), int(j[0])} == {0, 2}
    assert cosine.tolist() == [0]
    assert len(least_similar_members(features, np.full(5, -1))[0]) == 0


def test_the_map_is_reproducible():
    features = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    assert plane(features, 1).shape == (40, 2)
    np.testing.assert_array_equal(plane(features, 1), plane(features, 1))


def test_every_figure_has_its_words():
    nan = float("nan")
    every = ClusterHealth(0.9, 0.9, 0.9, -0.5, 0.0, 0.0, 0.01)
    assert len(figures(every, 0.95)) == len(FIGURES)
    unknown = ClusterHealth(nan, nan, 0.9, nan, 0.0, nan, 0.01)
    names = [name for name, _, _ in figures(unknown, nan)]
    assert names == ["Cohesion", "Outliers", "Largest cluster"]


@pytest.mark.parametrize("cameras", ["none", "center", "standardize"])
@pytest.mark.parametrize(
    ("cluster", "named"),
    [
        ({"method": "dbscan", "eps": 0.45}, ["set cluster.eps above 0.45", "below 0.45"]),
        (
            {"method": "linkage", "threshold": 0.6},
            ["recluster runs/a --coarser", "--finer"],
        ),
        ({"method": "community", "gamma": 0.2}, ["set cluster.gamma below 0.2", "above 0.2"]),
        ({"method": "community", "gamma": "auto"}, []),
    ],
)
def test_advice_never_names_what_is_set(cluster, named, cameras):
    config = validate({"cluster": cluster, "graph": {"cameras": cameras}}, "a test")
    odd = ClusterHealth(0.1, 0.1, 0.1, -0.5, 0.9, 0.9, 0.9)
    said = list(advice(odd, config, "runs/a"))
    for words, sentence in zip(named, said, strict=False):
        assert words in sentence
    method_settings = {"cluster.eps", "cluster.gamma", "recluster"}
    own = {word for word in method_settings if any(word in one for one in named)}
    assert {word for word in method_settings if any(word in one for one in said)} == own
    assert any("graph.cameras" in one for one in said) == (cameras == "none")
    ordinary = ClusterHealth(0.1, 0.1, 0.1, -0.5, 0.1, 0.1, 0.05)
    assert not list(advice(ordinary, config, "runs/a")), "no verdict on what nobody knows"


def show_all(page):
    """Scroll through the page until all pictures are drawn, and none is broken."""
    waiting = "document.querySelectorAll('main img:not([src]), [data-group]:empty')"
    while page.evaluate(f"{waiting}.length"):
        page.evaluate(f"{waiting}[0]?.parentElement.scrollIntoView()")
        page.wait_for_timeout(20)
    drawn = "[...document.querySelectorAll('main img')]"
    page.wait_for_function(f"{drawn}.every(i => i.complete)")
    assert page.evaluate(f"{drawn}.filter(i => !i.naturalWidth).length") == 0


@pytest.mark.parametrize(
    ("name", "theme", "width"),
    [
        ("judged", "light", 400),
        ("judged", "dark", 1280),
        ("bare", "dark", 400),
        ("bare", "light", 1280),
        ("timed", "light", 390),
        ("timed", "dark", 1280),
        ("several", "light", 390),
        ("several", "dark", 1280),
    ],
)
def test_in_a_browser(name, theme, width, pages, browser, tmp_path):
    """No error, no request, no sideways scrolling; plots are drawn and pictures decoded."""
    path = tmp_path / "report.html"
    path.write_text(pages[name], encoding="utf-8")
    said, asked = [], []
    page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900})
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("window.Bokeh && Bokeh.index.roots.every(view => view.is_displayed)")
    plots = page.locator(".bk-Figure").count()
    assert plots == len(page.query_selector_all(".plot"))
    assert plots >= 4
    show_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT) == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (theme == "light")
    if shots := os.environ.get("MPRD_SCREENSHOTS"):
        page.screenshot(path=f"{shots}/{name}-{theme}-{width}.png", full_page=True)
    page.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1
