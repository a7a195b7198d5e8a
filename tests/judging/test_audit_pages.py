"""Pages of one audit at the same time, and files that change under them."""

import pytest

from mprd.clustering.comparison import comparison_pairs
from mprd.errors import UserError
from mprd.judging.audit_rows import read_audit
from mprd.judging.audit_session import beside_session
from tests.judging.besides import changed_table, judge, run

__all__ = ["run"]  # a fixture


def test_two_pages_of_one_audit_lose_nothing(run):
    one, two = (beside_session(run.folder, "start", 40) for _ in range(2))
    for number in range(9):
        one.answer(number, "1")
    two.answer(0, "0")
    said = [row.same for row in read_audit(run.beside_audit, beside=True)]
    assert said == ["0", *["1"] * 8, *[""] * 31], (
        "the latest answer to a pair holds, all others stay"
    )
    two.undo(two.answered)
    assert [row.same for row in read_audit(run.beside_audit, beside=True)][1:] == said[1:]


def test_a_page_of_an_older_audit_writes_nothing(run, tmp_path):
    old = beside_session(run.folder, "start", 40)
    old.answer(0, "1")
    beside_session(run.folder, str(changed_table(run, tmp_path / "other.csv")), 40)
    new = run.beside_audit.read_text()
    with pytest.raises(UserError, match="holds another audit now: this answer was not taken"):
        old.answer(1, "1")
    assert (old.answered, run.beside_audit.read_text()) == (1, new)


def test_a_page_of_a_run_that_was_moved_makes_nothing_in_its_place(run):
    session = beside_session(run.folder, "start", 40)
    session.answer(0, "1")
    moved = run.folder.rename(run.folder.with_name("moved"))
    with pytest.raises(UserError, match="is gone: this answer was not taken"):
        session.answer(1, "1")
    assert not run.folder.exists()
    moved.rename(run.folder)
    session.answer(1, "0")
    said = [row.same for row in read_audit(run.beside_audit, beside=True)]
    assert said[:3] == ["1", "0", ""]


def test_an_audit_that_another_process_began_meanwhile_goes_on(run, monkeypatch):
    def slow(*given):
        monkeypatch.undo()
        judge(run, "start", most=3)
        return comparison_pairs(*given)

    monkeypatch.setattr("mprd.judging.audit_session.comparison_pairs", slow)
    assert len(beside_session(run.folder, "start", 50).questions) == 47
    assert not (run.folder / "audit_beside.1.csv").exists()
