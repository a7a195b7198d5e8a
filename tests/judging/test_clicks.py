"""Answers and undos that come twice, or at a moment when the disk is full."""

import threading

import pytest

from mprd.errors import UserError
from tests.faults.limits import full_disk
from tests.judging.test_judging import said, session_of

CLICKS = {  # what is clicked several times at once, and how many answers there are then
    "answer": (lambda session: session.answer(2, "1"), 3),
    "undo": (lambda session: session.undo(2), 1),
    "retract": (lambda session: session.retract(1), 3),
}


@pytest.mark.parametrize("name", CLICKS)
def test_a_double_click_is_one(tmp_path, name):
    click, answered = CLICKS[name]
    for attempt in range(20):
        session = session_of(5, tmp_path / f"{attempt}.csv")
        session.answer(0, "1")
        session.answer(1, "1")
        if name == "retract":
            session.questions[2] = session.questions[0]
            session.answer(2, "0")
            assert session.clash
        together = threading.Barrier(4)

        def many(session=session, together=together):
            together.wait()
            click(session)

        threads = [threading.Thread(target=many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert session.answered == answered
        assert len(said(session.out)) == answered - (name == "retract")


def test_an_undo_that_a_full_disk_refuses_is_that_of_the_same_answer_later(tmp_path):
    session = session_of(3, tmp_path / "decisions.csv")
    session.answer(0, "1")
    session.answer(1, "0")
    full, room = full_disk(session.out.stat().st_size), pytest.raises(UserError, match="not taken")
    with full, room:
        session.undo(session.answered)
    assert (session.answered, said(session.out)) == (2, ["same", "different"])
    session.undo(session.answered)
    assert (session.answered, said(session.out)) == (1, ["same"])
