"""The camera network, on the page and by `mprd inspect`: times that tell who is who, and others."""

import shutil
from itertools import pairwise

import numpy as np
import pytest
from typer.testing import CliRunner

from mprd.artifacts import TRANSITIONS, read_artifact, write_artifact
from mprd.cli.app import app
from mprd.evidence.travel import Way
from mprd.report.inspect.describe import describe
from mprd.report.page.blocks import Plots, Table, Text
from mprd.report.page.network import network
from mprd.report.page.network_plot import circle, network_plot
from mprd.report.page.plots import heat_map
from mprd.report.page.render import render
from mprd.report.page.run_data import RunData


def said(section):
    return [block.text for block in section.blocks if isinstance(block, Text)]


def changed_run(timed_run, folder, attributes):
    """A copy of a run with other attributes of its transitions."""
    shutil.copytree(timed_run.folder, folder)
    run = RunData(folder)
    path = run.layout.final.transitions
    found = read_artifact(path, TRANSITIONS)
    attributes = found.attributes | attributes
    write_artifact(path, TRANSITIONS, found.arrays, config={}, inputs={}, attributes=attributes)
    return run


def test_no_times_no_section(bare_run):
    assert network(RunData(bare_run.folder)) is None


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"error": 0.32}, "they do not tell who is who (gain 0.62 ± 0.32; it must be above twice"),
        ({"num_timed": 0, "gain": 0.0, "error": np.inf}, "no training image has one."),
        ({"gain": 0.0, "error": np.inf}, "too few probable pairs of images with a time"),
    ],
    ids=["weak", "no times", "few pairs"],
)
def test_times_that_tell_nothing(attributes, sentence, timed_run, tmp_path):
    run = changed_run(timed_run, tmp_path / "run", attributes)
    section = network(run)
    (text,) = said(section)
    assert text.startswith(f"Times are not used: {sentence}")
    assert len(section.blocks) == 1
    facts = describe(run.layout.final.transitions).facts
    assert facts["times"] == "not used: the gain is not above twice its error"
    assert not [key for key in facts if key.startswith("way")]


def test_without_identities_there_is_no_auc(timed_run, tmp_path):
    run = changed_run(timed_run, tmp_path / "run", {"auc": np.nan})
    text = said(network(run))[0]
    assert text.endswith("54 training images have a time.")


def test_the_ways_are_those_of_the_file(timed_run):
    run = RunData(timed_run.folder)
    section = network(run)
    a, b, *_ = run.camera_names
    gain, *_ = said(section)
    assert "Times are used: gain 0.62 ± 0.04." in gain
    assert "AUC 0.84" in gain
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    # Of 100 pairs chance brings 12.5 a bin; those of the third camera pass at any time.
    assert table.rows == [[f"{a} before {b}", "15 s", "68"]]
    ways, ratios = (block for block in section.blocks if isinstance(block, Plots))
    assert f"{a} before {b} 15 s, 68 pairs" in ways.texts[0]
    names = ratios.figures[0].y_range.factors
    assert names[-1] == f"{a}, {b}", "the busiest on top"
    assert len(names) == 2
    axis = ratios.figures[0].xaxis[0].major_label_overrides
    assert axis == {2: "-20 s", 4: "0", 6: "20 s"}, "all bins have pairs"
    page = render("run", [section])
    assert page.count('role="img" aria-label="') == 2
    assert f'aria-label="Network of {run.camera.max() + 1} cameras. {a} before {b} 15 s' in page


def test_log_ratios_are_those_that_the_run_uses(timed_run):
    run = RunData(timed_run.folder)
    run.config = run.config.model_copy(
        update={"time": run.config.time.model_copy(update={"most": 1.2})}
    )
    data = network(run).figures()[1].renderers[0].data_source.data
    np.testing.assert_allclose(np.unique(data["value"]), [-1.0, 1.2], rtol=1e-6)


def test_no_way_is_said(timed_run, monkeypatch):
    monkeypatch.setattr("mprd.report.page.network.typical_ways", lambda found: [Way(0, 0, 50, 3)])
    section = network(RunData(timed_run.folder))
    assert said(section)[1].startswith("No two cameras share enough probable pairs")
    assert len(section.figures()) == 1


def test_near_cameras_stand_side_by_side():
    """A corridor whose cameras are numbered at random: around the circle it is in order."""
    corridor = [3, 0, 4, 1, 5, 2]
    ways = [Way(a, b, 50, 30.0) for a, b in pairwise(corridor)]
    places = circle(6, ways)
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1)
    beside = 2 * np.sin(np.pi / 6)
    for way in ways:
        assert np.linalg.norm(places[way.first] - places[way.then]) == pytest.approx(beside)
    np.testing.assert_array_equal(places, circle(6, ways))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_cameras_have_places(count):
    places = circle(count, [])
    assert places.shape == (count, 2)
    assert len(np.unique(places.round(6), axis=0)) == count


def test_arrows_and_labels():
    ways = [Way(0, 1, 90, 35.0), Way(1, 0, 30, 7_560.0)]
    plot = network_plot("ways", ["gate", "lot"], ways, "seconds")
    data = plot.renderers[0].data_source.data
    assert list(data["time"]) == ["35 s", "2.1 h"]
    assert list(data["way"]) == ["gate before lot", "lot before gate"]
    assert data["width"][0] > data["width"][1]
    start, end = data["xs"][0][0], data["xs"][0][-1]
    assert (start, data["head_x"][0]) == (data["xs"][0][0], end)
    assert np.hypot(*np.diff(data["x"]), *np.diff(data["y"])) > 0.3, "labels do not meet"


def test_colours_are_signs():
    values = np.array([[2.0, -1.0, 0.0]])
    plot = heat_map("ratios", ["one"], ["-1 s", ""], values, "time")
    data = plot.renderers[0].data_source.data
    np.testing.assert_allclose(data["alpha"], [1, 0.5, 0])
    assert len(set(data["color"][:2])) == 2
    assert plot.xaxis[0].major_label_overrides == {1: "-1 s"}


def test_inspect_lists_the_ways(timed_run, tmp_path):
    path = timed_run.final.transitions
    out = CliRunner().invoke(app, ["inspect", str(path)], catch_exceptions=False).output
    a, b, *_ = RunData(timed_run.folder).camera_names
    for line in ("gain: 0.62", "auc: 0.84", "num_timed: 54", "unit: seconds"):
        assert line in out
    assert "ways between cameras: 1 with enough probable pairs, the busiest first" in out
    assert "times: used" in out
    assert f"way {a} -> {b}: 15 s, 68 probable pairs beyond chance" in out
    shutil.copy(path, tmp_path / "alone.h5")
    assert "way 1 -> 2" in describe(tmp_path / "alone.h5").facts
