"""`mprd audit`: pairs of a run, answers on disk, and where the result shows."""

import errno
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mprd.artifacts import CLUSTERS, INDEX, read_artifact, write_artifact
from mprd.cli.app import app
from mprd.clustering.agreement import pair_quality
from mprd.data.index import split_rows
from mprd.decisions.answers import read_answers
from mprd.decisions.log import DecisionLog
from mprd.errors import UserError
from mprd.judging.audit_file import audit_words
from mprd.judging.audit_rows import estimate_rows, read_audit
from mprd.judging.audit_session import audit_session
from mprd.judging.session import Session
from mprd.pipeline.layout import RunLayout
from mprd.report.status import run_status
from mprd.stages.audited_csv import write_audited_csv
from tests.judging.besides import judge_all
from tests.judging.labels import change_first_row, write_labels


@pytest.fixture
def run(judged_run, tmp_path):
    return RunLayout(shutil.copytree(judged_run.folder, tmp_path / "run"))


def identities(run: RunLayout) -> dict[str, int]:
    index = read_artifact(run.index, INDEX)
    rows = split_rows(index, "train")
    return dict(zip(index["path"][rows], index["identity"][rows].tolist(), strict=True))


def judge(run: RunLayout, most: int = 1000, count: int = 50):
    """Answer as one who knows."""
    who, session = identities(run), audit_session(run.folder, count)
    while session.current is not None and session.answered < most:
        a, b = session.current.paths
        session.answer(session.answered, "1" if who[a] == who[b] else "0")
    return session


def other_clusters(run: RunLayout) -> None:
    old = read_artifact(run.final.clusters, CLUSTERS)
    labels = old["labels"].copy()
    labels[np.flatnonzero(labels == 0)[0]] = -1
    write_labels(run, labels, old["number"])


def test_an_audit_goes_on_and_ends(run):
    assert "not audited" in audit_words(run)
    judge(run, most=7)
    assert "7 of 50 pairs judged" in audit_words(run)
    before = read_audit(run.audit)
    session = audit_session(run.folder, 30)
    assert len(session.questions) == 43, "the pairs are those of the file"
    session.answer(0, "")
    assert read_audit(run.audit) != before
    session.answer(0, "1")  # the page was sent twice
    session.undo(session.answered)
    session.undo(session.answered)
    assert read_audit(run.audit) == before, "answers of another session are not taken back"
    judge(run)
    labels = read_artifact(run.final.clusters, CLUSTERS)["labels"]
    truth = pair_quality(labels, np.array(list(identities(run).values())))
    found = estimate_rows(read_audit(run.audit))
    for one, true in ((found.precision, truth.precision), (found.recall, truth.recall)):
        assert one.low <= true <= one.high
    words = audit_words(run)
    assert f"pair precision {found.precision.value:.2f} (" in words
    assert "by 50 answers" in words
    assert words.endswith(f"for the clusters with the digest {read_audit(run.audit)[0].clusters}")
    assert run_status(run.folder).audit == words
    said = CliRunner().invoke(app, ["audit", str(run.folder), "--no-browser"]).output
    assert words in said, "nothing is left to ask"
    table = pd.read_csv(run.final.folder / "clusters_audited.csv")
    assert table["cluster"].tolist() == pd.read_csv(run.final.table)["cluster"].tolist()
    mates = table["cluster"].map(table["cluster"].value_counts()) - 1
    inside = table["cluster"] >= 0
    mean = np.average(table["probability"][inside], weights=mates[inside])
    assert mean == pytest.approx(np.average(found.rates, weights=found.sizes), abs=2e-3)
    assert table["probability"].isna().equals(~inside)


def test_a_run_that_cannot_be_written_to_shows_no_page(run, cli, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    judge(run, most=7)
    shown = []
    monkeypatch.setattr("mprd.cli.judge._judge", lambda *a, **k: shown.append(a))
    assert cli("audit", run.folder, "--no-browser")[0] == 0
    assert len(shown) == 1
    with monkeypatch.context() as patch:
        patch.setattr("mprd.artifacts.places.tempfile.TemporaryFile", refuse)
        code, _, err = cli("audit", run.folder, "--no-browser")
    assert (code, f"Cannot write into {run.folder}: Read-only" in err) == (2, True), err
    assert len(shown) == 1


def test_every_pair_judged_is_the_truth(run):
    judge_all(run, audit_session(run.folder, 10_000))
    labels = read_artifact(run.final.clusters, CLUSTERS)["labels"]
    truth = pair_quality(labels, np.array(list(identities(run).values())))
    found = estimate_rows(read_audit(run.audit))
    assert found.precision.value == pytest.approx(truth.precision)
    assert found.recall.value == pytest.approx(truth.recall)


def test_other_clusters_make_it_stale(run):
    judge(run)
    other_clusters(run)
    assert "of other clusters" in audit_words(run)
    old = run.audit.read_text()
    assert len(audit_session(run.folder, 20).questions) == 20
    assert (run.folder / "audit.1.csv").read_text() == old
    assert "0 of 20" in audit_words(run)
    other_clusters(run)
    audit_session(run.folder, 20)
    assert (run.folder / "audit.2.csv").is_file()


def test_other_clusters_are_asked_about_other_pairs(run):
    def drawn():
        return [row[:2] for row in read_audit(run.audit)]

    audit_session(run.folder, 20)
    first = drawn()
    run.audit.unlink()
    audit_session(run.folder, 20)
    assert drawn() == first
    # The same clusters but for one outlier: as many strata, other pairs.
    other_clusters(run)
    audit_session(run.folder, 20)
    assert len({*first} & {*drawn()}) < 15


def test_no_probability_without_a_finished_audit(run):
    assert write_audited_csv(run) is None
    judge(run, most=7)
    assert write_audited_csv(run) is None
    judge(run)
    assert write_audited_csv(run) is not None
    other_clusters(run)
    assert write_audited_csv(run) is None


def test_only_unsure_answers_tell_nothing(run):
    session = audit_session(run.folder, 20)
    for number in range(20):
        session.answer(number, "")
    assert "tells nothing" in audit_words(run)


def test_audits_and_answers_are_not_mixed_up(run):
    judge(run)
    with pytest.raises(UserError, match="answers of an audit, which measure clusters"):
        read_answers(run.audit, dict.fromkeys(identities(run), 0))
    with pytest.raises(UserError, match="no file of decisions"):
        Session([], DecisionLog(run.audit))
    run.audit.write_text("path_a,path_b,same\na,b,1\n")
    with pytest.raises(UserError, match="no file of `mprd audit`"):
        audit_session(run.folder, 20)


@pytest.mark.parametrize(
    ("column", "value"),
    [("same", "yes"), ("stratum", "outside 1"), ("pairs", "-3"), ("pairs", "0"), ("clusters", "x")],
)
def test_a_changed_file_is_refused(run, column, value):
    audit_session(run.folder, 20)
    change_first_row(run.audit, column, value)
    with pytest.raises(UserError, match="no file of `mprd audit`"):
        read_audit(run.audit)


def test_an_image_that_is_gone_is_named(run):
    audit_session(run.folder, 20)
    rows = read_audit(run.audit)
    run.audit.write_text(run.audit.read_text().replace(rows[0].path_a, "gone.jpg"))
    with pytest.raises(UserError, match=re.escape("names gone.jpg")):
        audit_session(run.folder, 20)


def test_the_clusters_before_training_are_audited_too(run):
    judge(run, most=3)
    before = read_audit(run.audit)
    session = audit_session(run.folder, 30, start=True)
    assert (session.out, len(session.questions)) == (run.start_audit, 30)
    session.answer(0, "1")
    assert "1 of 30 pairs judged" in audit_words(run, start=True)
    assert "--start goes on" in audit_words(run, start=True)
    assert run_status(run.folder).start_audit == audit_words(run, start=True)
    assert read_audit(run.audit) == before
    run.final.clusters.unlink()
    assert len(audit_session(run.folder, 30, start=True).questions) == 29, "training goes on"
    run.epoch(1).clusters.unlink()
    with pytest.raises(UserError, match="no clusters of the start yet"):
        audit_session(run.folder, 30, start=True)
    run.config.write_text("epochs: 0\n")
    with pytest.raises(UserError, match="trains nothing"):
        audit_session(run.folder, 30, start=True)


def test_an_unfinished_run_is_told(run):
    run.final.clusters.unlink()
    with pytest.raises(UserError, match="is not finished"):
        audit_session(run.folder, 20)
    assert run_status(run.folder).audit is None


def test_images_of_one_track_are_not_asked_about(run):
    labels = read_artifact(run.final.clusters, CLUSTERS)["labels"]
    index = read_artifact(run.index, INDEX)
    train = split_rows(index, "train")
    tracks = np.full(len(index["track"]), -1, index["track"].dtype)
    tracks[train[labels == 0]] = 0
    arrays = dict(index.arrays) | {"track": tracks}
    write_artifact(
        run.index, INDEX, arrays, config={}, inputs=index.inputs, attributes=index.attributes
    )
    session = audit_session(run.folder, 10_000)
    cluster = dict(zip(index["path"][train], labels.tolist(), strict=True))
    ends = [[cluster[path] for path in question.paths] for question in session.questions]
    assert [0, 0] not in ends
    units = len(labels) - int((labels == 0).sum()) + 1
    assert len(ends) == units * (units - 1) // 2
