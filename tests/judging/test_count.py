"""`mprd count`: a person checks clusters in the log of decisions, and the run tells the number."""

import shutil

import pytest

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.data.index import split_rows
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog
from mprd.errors import UserError
from mprd.judging.count import begin_count, count_of, count_words
from mprd.judging.count_file import read_count
from mprd.pipeline.layout import RunLayout
from mprd.report.status import run_status


@pytest.fixture
def run(judged_run, tmp_path):
    return RunLayout(shutil.copytree(judged_run.folder, tmp_path / "run"))


def people(run):
    """Return path -> person, of the training images."""
    index = read_artifact(run.index, INDEX)
    rows = split_rows(index, "train")
    paths, who = index["path"][rows], index["identity"][rows]
    return dict(zip(map(str, paths), who.tolist(), strict=True))


def test_a_person_checks_and_the_number_is_told(run, cli):
    who = people(run)
    code, said, err = cli("count", run.folder, "--checks", 15)
    assert code == 0, err
    assert "count under way, 0 of" in said
    labels = read_artifact(run.final.clusters, CLUSTERS)["labels"]
    number = read_artifact(run.final.clusters, CLUSTERS)["number"]
    found = read_count(run.count)
    drawn = [u for u in found.sample.units.tolist() if u < found.clusters]
    paths = list(who)
    for unit in drawn:
        rows = [n for n, path in enumerate(found.paths) if found.units[n] == unit]
        assert [found.paths[n] for n in rows] == [paths[n] for n in rows]
        assert str(number[labels[rows[0]]]) in said.splitlines()[-1].split(" | ")
    log = DecisionLog(run.decisions)
    first = count_of(run).open[0]
    if len(first) > 1:  # one pair says nothing of the others
        log.append(Decision(Kind.SAME, (first[0],), (first[1],)))
        assert count_of(run).checked == 0
    for person in sorted(set(who.values())):
        mine = tuple(path for path, one in who.items() if one == person)
        others = tuple(path for path, one in who.items() if one != person)
        log.append(Decision(Kind.SPLIT, mine, others))
    result = count_of(run)
    assert result.value is not None
    assert result.value.low <= len(set(who.values())) <= result.value.high
    code, said, _ = cli("count", run.folder)
    assert result.words() in said
    assert f"individuals: {result.words()}" in cli("status", run.folder)[1]
    assert run_status(run.folder).count == count_words(run) == result.words()
    # The count is of the images: it stays when the clusters are made again.
    assert cli("apply", run.folder)[0] == 0
    assert count_of(run).value == result.value


def test_another_side_is_another_count(run):
    assert count_words(run) is None
    with pytest.raises(UserError, match=r"No image shows the side 'left'. Known are none"):
        begin_count(run.folder, 20, "left")


def test_a_count_of_other_images_is_kept_beside(run):
    begin_count(run.folder, 20)
    text = run.count.read_text()
    run.count.write_text(text.replace(text.splitlines()[1].split(",")[0], "gone.jpg"))
    assert "the count is of other images" in (count_words(run) or "")
    assert begin_count(run.folder, 20).checked == 0
    assert run.count.read_text() == text
    assert run.count.with_suffix(".1.csv").is_file()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:1],
        lambda lines: [line for line in lines if line.split(",")[1] != "0"],
        lambda lines: [lines[0].replace("unit", "group"), *lines[1:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: "\n".join(lines).replace(",clusters 1,", ",clusters 9,", 1).split("\n"),
        lambda lines: [lines[0], lines[1] + ",x", *lines[2:]],
    ],
)
def test_a_damaged_file_is_told(run, change):
    begin_count(run.folder, 20)
    lines = run.count.read_text().splitlines()
    run.count.write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(UserError, match=r"is no file of `mprd count`"):
        read_count(run.count)
