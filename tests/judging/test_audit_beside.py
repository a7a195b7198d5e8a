"""`mprd audit --beside`: one audit of two clusterings, and where its result shows."""

import shlex
import shutil

import numpy as np
import pandas as pd
import pytest

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.clustering.agreement import pair_quality
from mprd.data.index import split_rows
from mprd.decisions.answers import read_answers
from mprd.errors import UserError
from mprd.judging.audit_beside import beside_words
from mprd.judging.audit_file import audit_words
from mprd.judging.audit_rows import (
    clusters_digest,
    estimate_comparison,
    read_audit,
    write_audit,
)
from mprd.judging.audit_session import audit_session, beside_session
from mprd.pipeline.layout import RunLayout
from mprd.report.page.found import found
from mprd.report.page.health import health
from mprd.report.page.run_data import RunData
from mprd.report.page.start import start
from mprd.report.status import run_status
from tests.judging.besides import changed_table, identities, judge, judge_all, run
from tests.judging.labels import change_first_row, write_labels

__all__ = ["run"]  # a fixture


def test_it_goes_on_and_ends(run):
    assert beside_words(run) is None
    assert run_status(run.folder).beside is None
    judge(run, "start", most=7)
    assert "7 of 50 pairs judged" in beside_words(run)
    assert f"mprd audit {run.folder} --beside start goes on" in beside_words(run)
    assert "not audited" in audit_words(run)
    before = read_audit(run.beside_audit, beside=True)
    session = beside_session(run.folder, "start", 60)
    assert len(session.questions) == 43, "the pairs are those of the file"
    session.answer(0, "")
    assert read_audit(run.beside_audit, beside=True) != before
    session.undo(session.answered)
    assert read_audit(run.beside_audit, beside=True) == before
    judge(run, "start")
    rows = read_audit(run.beside_audit, beside=True)
    first, second = (read_artifact(s.clusters, CLUSTERS) for s in (run.final, run.epoch(1)))
    assert {row.clusters for row in rows} == {clusters_digest(first)}
    assert {row.beside for row in rows} == {clusters_digest(second)}, "as --start has it"
    who = np.array(list(identities(run).values()))
    mine, theirs = (pair_quality(one["labels"], who) for one in (first, second))
    said = estimate_comparison(rows)
    for one, true in (
        (said.first.precision, mine.precision),
        (said.second.precision, theirs.precision),
        (said.difference.precision, mine.precision - theirs.precision),
        (said.difference.f1, mine.f1 - theirs.f1),
    ):
        assert one.low <= true <= one.high
    words = beside_words(run)
    assert words.startswith("audited beside the clusters before training: pair precision ")
    assert f"difference {said.difference.precision.value:+.2f} (" in words
    assert words.endswith(f"with the digests {rows[0].clusters} and {rows[0].beside}")


def test_the_result_shows(run, cli):
    judge(run, "start")
    words = beside_words(run)
    status = run_status(run.folder)
    assert status.beside == words
    code, out, _ = cli("audit", run.folder, "--beside", "start", "--no-browser")
    assert (code, f"{run.folder}: {words}" in out) == (0, True), "nothing is left to ask"
    assert f"two clusterings: {words}" in cli("status", run.folder)[1]
    said = estimate_comparison(read_audit(run.beside_audit, beside=True))
    assert f"pair precision {said.first.precision.value:.2f} (" in status.audit
    assert f"pair precision {said.second.precision.value:.2f} (" in audit_words(run, start=True)
    data = RunData(run.folder)
    texts = [getattr(block, "text", "") for block in found(data).blocks]
    assert f"Two clusterings: {words}." in texts
    (table, *_) = start(data).blocks
    assert ("audit", audit_words(run, start=True), audit_words(run)) in table.rows
    audit_session(run.folder, 20)
    assert "0 of 20 pairs judged" in audit_words(run), "an audit of its own comes first"


def test_every_pair_judged_is_the_truth(run, tmp_path):
    other = changed_table(run, tmp_path / "other.csv")
    judge_all(run, beside_session(run.folder, str(other), 10_000))
    who = np.array(list(identities(run).values()))
    labels = read_artifact(run.final.clusters, CLUSTERS)["labels"]
    mine = pair_quality(labels, who)
    theirs = pair_quality(pd.read_csv(other)["cluster"].to_numpy(), who)
    gain = estimate_comparison(read_audit(run.beside_audit, beside=True)).difference
    assert gain.precision.value == pytest.approx(mine.precision - theirs.precision)
    assert gain.recall.value == pytest.approx(mine.recall - theirs.recall)
    better = "these clusters are" if mine.f1 > theirs.f1 else f"those of {other} are"
    assert f"{better} better" in beside_words(run)


def test_a_table_names_clusters_as_it_likes(run, tmp_path):
    judge(run, "start", most=3)
    table = pd.read_csv(run.start_table)
    table["cluster"] = table["cluster"].where(table["cluster"] < 0, 1000 - table["cluster"])
    table = pd.concat([table.sample(frac=1, random_state=0), table[:1].assign(path="more.jpg")])
    table.to_csv(tmp_path / "renamed.csv", index=False)
    session = beside_session(run.folder, str(tmp_path / "renamed.csv"), 50)
    assert len(session.questions) == 47, "the same clusters, the same audit"


def test_another_run_is_found_from_any_folder(run, judged_run, tmp_path, monkeypatch):
    other = shutil.copytree(judged_run.folder, tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    judge(RunLayout(run.folder.relative_to(tmp_path)), "other", most=2)
    rows = read_audit(run.beside_audit, beside=True)
    assert rows[0].other == "../other"
    monkeypatch.chdir(run.folder)
    assert f"2 of 50 pairs judged (mprd audit {run.folder} --beside {other}" in beside_words(run)
    shutil.rmtree(other)
    assert "is not there: " in beside_words(run)


def test_other_clusters_make_it_stale(run, tmp_path):
    other = changed_table(run, tmp_path / "other.csv")
    judge(run, str(other))
    old = run.beside_audit.read_text()
    changed_table(run, other, images=9)
    again = f"mprd audit {run.folder} --beside {other} starts a new one"
    assert f"of other clusters ({again})" in beside_words(run)
    assert "not audited" in audit_words(run)
    judge(run, str(other), most=1)
    assert (run.folder / "audit_beside.1.csv").read_text() == old
    pairs = {row[:2] for row in read_audit(run.beside_audit, beside=True)}
    old_file = run.folder / "audit_beside.1.csv"
    assert pairs != {row[:2] for row in read_audit(old_file, beside=True)}
    now = read_artifact(run.final.clusters, CLUSTERS)
    labels = now["labels"].copy()
    labels[np.flatnonzero(labels == 1)[0]] = -1
    write_labels(run, labels, now["number"])
    assert "of other clusters" in beside_words(run)
    with pytest.raises(UserError, match="answers of an audit, which measure clusters"):
        read_answers(run.beside_audit, dict.fromkeys(identities(run), 0))


def test_status_tells_of_a_place_that_cannot_be_reached(run, cli):
    judge(run, "start", most=1)
    rows = [row._replace(other="x" * 5000) for row in read_audit(run.beside_audit, beside=True)]
    write_audit(run.beside_audit, rows)
    code, out, _ = cli("status", run.folder)
    assert code == 0
    assert "what these clusters were compared with is not there: " in out
    assert "File name too long" in out


def test_commands_name_folders_with_spaces(run, tmp_path):
    moved = RunLayout(run.folder.rename(tmp_path / "my run"))
    other = changed_table(moved, tmp_path / "it's mine.csv")
    judge(moved, str(other), most=1)
    command = shlex.split(beside_words(moved).partition("(")[2].removesuffix(" goes on)"))
    assert command == ["mprd", "audit", str(moved.folder), "--beside", str(other)]
    assert f"mprd audit '{moved.folder}' takes" in audit_words(moved)


def test_only_unsure_answers_tell_nothing(run):
    session = beside_session(run.folder, "start", 40)
    for number in range(40):
        session.answer(number, "")
    assert "tells nothing" in beside_words(run)
    assert "not audited" in audit_words(run)


def cut_table(run, path):
    pd.read_csv(run.start_table)[3:].to_csv(path, index=False)


def doubled_table(run, path):
    table = pd.read_csv(run.start_table)
    pd.concat([table, table[:1]]).to_csv(path, index=False)


def no_table(run, path):
    path.write_text("name,kind\na,1\n")


def equal_table(run, path):
    shutil.copy(run.final.table, path)
    index = read_artifact(run.index, INDEX)
    labels = read_artifact(run.final.clusters, CLUSTERS)["labels"]
    paths = index["path"][split_rows(index, "train")]
    pd.DataFrame({"path": paths, "cluster": labels}).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (cut_table, "has no cluster for "),
        (doubled_table, "must give each path one whole number"),
        (no_table, "has no column `path`"),
        (equal_table, "both join the same pairs: there is nothing to compare"),
        (None, "does not exist. Name `start`, the folder of a finished run, or a table"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(run, cli, tmp_path, make, message):
    other = tmp_path / "other.csv"
    if make is not None:
        make(run, other)
    code, _, err = cli("audit", run.folder, "--beside", other, "--no-browser")
    assert (code, message in err, len(err.strip().splitlines())) == (2, True, 1), err
    assert not run.beside_audit.exists()


def test_runs_that_cannot_be_compared_are_told(run, bare_run, tmp_path, cli):
    for other, message in (
        (bare_run.folder, "has no cluster for "),
        (tmp_path, "is no folder of a run"),
        (run.folder, "nothing to compare"),
    ):
        with pytest.raises(UserError, match=message):
            beside_session(run.folder, str(other), 50)
    with pytest.raises(UserError, match="at least 40 pairs"):
        beside_session(run.folder, "start", 20)
    code, _, err = cli("audit", run.folder, "--beside", "start", "--start", "--no-browser")
    assert (code, "leave out --start" in err) == (2, True)
    run.config.write_text("epochs: 0\n")
    with pytest.raises(UserError, match=r"trains nothing.* Name other clusters"):
        beside_session(run.folder, "start", 50)


@pytest.mark.parametrize(
    ("column", "value"),
    [("stratum", "inside 1"), ("beside", "x"), ("other", "x"), ("same", "2"), ("pairs", "0")],
)
def test_a_changed_file_is_refused(run, column, value):
    beside_session(run.folder, "start", 40)
    change_first_row(run.beside_audit, column, value)
    with pytest.raises(UserError, match="no file of `mprd audit`"):
        beside_session(run.folder, "start", 40)
    assert "no file of `mprd audit`" in (beside_words(run) or "")


def test_the_files_of_both_audits_are_not_mixed_up(run):
    beside_session(run.folder, "start", 40)
    audit_session(run.folder, 20)
    shutil.copy(run.beside_audit, run.audit)
    assert "no file of `mprd audit`" in audit_words(run)


@pytest.mark.parametrize("content", [b"", b"\xff", b"a\n\0", b"a," + b"x" * 200_000, b'"a'])
@pytest.mark.parametrize("name", ["audit", "start_audit", "beside_audit", "count"])
def test_a_damaged_file_ends_no_overview(cli, run, tmp_path, name, content):
    path = getattr(run, name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    code, said, err = cli("status", run.folder)
    assert code == 0, err
    assert f"{path} is no" in said.replace("\n", "")
    data = RunData(run.folder)
    blocks = [*found(data).blocks, *start(data).blocks, *health(data).blocks]
    assert (path.name in str(blocks)) == (name != "count"), "the report says it, too"
    if (name, content) == ("beside_audit", b""):
        code, _, err = cli("report", run.folder, "--out", tmp_path / "r.html")
        assert code == 0, err
        assert "audit_beside.csv is no" in (tmp_path / "r.html").read_text()
