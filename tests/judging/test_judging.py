"""Judging pairs: which are asked, that nothing is lost, who is let in, and the page by keys."""

import http.client
import os
import re
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog, in_effect, read_decisions
from mprd.errors import UserError
from mprd.judging.questions import questions
from mprd.judging.server import JudgingServer
from mprd.judging.session import Session, Shown
from mprd.pipeline.layout import RunLayout
from tests.judging.labels import write_labels
from tests.stage_server import python

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


def shown(count: int) -> list[Shown]:
    return [Shown((f"a{n}.jpg", f'"b,{n}.jpg'), ("gate", ""), (n, n + 1), n) for n in range(count)]


def session_of(count: int, out) -> Session:
    return Session(shown(count), DecisionLog(out))


def said(path) -> list[str]:
    """The decisions that hold, by kind."""
    return [one.kind.value for one in in_effect(read_decisions(path))]


def test_answers_are_kept_and_taken_back(tmp_path):
    out = tmp_path / "decisions.csv"
    session = session_of(3, out)
    session.answer(0, "1")
    session.answer(0, "0")  # the page was sent twice
    session.answer(1, "")
    first, second = in_effect(read_decisions(out))
    assert (first.kind, first.images, first.others) == ("same", ("a0.jpg",), ('"b,0.jpg',))
    assert second.kind == "unsure"
    session.undo(session.answered)
    assert said(out) == ["same"]
    session.answer(1, "0")
    again = session_of(3, out)
    assert [q.rows for q in again.questions] == [(2, 3)], "what is answered is not asked again"
    again.undo(again.answered)
    assert said(out) == ["same", "different"], "answers of another session are not taken back"
    again.answer(0, "1")
    assert again.current is None
    again.answer(1, "1")
    session.undo(session.answered)
    assert said(out) == ["same", "same"], "each session takes back its own answers"


def test_another_file_is_not_touched(tmp_path):
    out = tmp_path / "other.csv"
    out.write_text("path,identity\na,1\n")
    with pytest.raises(UserError, match="is no file of decisions"):
        session_of(1, out)
    assert out.read_text() == "path,identity\na,1\n"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_of_an_older_mprd_goes_on(tmp_path, end):
    out = tmp_path / "answers.csv"
    out.write_bytes(f"path_a,path_b,same\nx,y,1{end}".encode())
    session_of(1, out).answer(0, "0")
    assert said(out) == ["same", "different"]
    assert session_of(1, out).current is None


def test_contradictions_show_where_they_arise(tmp_path):
    log = DecisionLog(tmp_path / "decisions.csv")
    log.append(Decision(Kind.MERGE, ("a0.jpg", "c.jpg"), ('"b,0.jpg',)))
    session = Session(shown(2), log)
    with serving(session) as server:
        root = f"/{server.token}/"
        assert ask(server, "POST", root + "answer", "verdict=different&number=0")[0] == 303
        page = ask(server, "GET", root)[1]
        assert "Question 1 of 2" in page
        assert "entry 1" in page
        assert "merge a0.jpg, c.jpg with" in page
        assert "the new decision: a0.jpg is not the same as" in page
        assert said(log.path) == ["merge"], "it was not taken"
        ask(server, "POST", root + "answer", "verdict=retract&number=7")
        assert said(log.path) == ["merge"], "entry 7 is no part of it"
        ask(server, "POST", root + "answer", "verdict=retract&number=1")
        assert said(log.path) == ["different"]
        assert "Question 2 of 2" in ask(server, "GET", root)[1]


def test_questions_are_chosen_anew(tmp_path):
    asked = []

    def more(count: int) -> list[Shown]:
        asked.append(count)
        return shown(40)[30 : 30 + count]

    session = Session(shown(14), DecisionLog(tmp_path / "d.csv"), more)
    for number in range(14):
        session.answer(number, "0")
    assert asked == [4]
    assert session.questions[10].paths[0] == "a30.jpg"
    assert session.current is None


def test_the_end_applies(tmp_path):
    done = []

    def apply() -> str:
        done.append(1)
        if len(done) == 2:
            raise UserError("it is in use")
        return "3 decisions hold"

    session = session_of(1, tmp_path / "d.csv")
    with JudgingServer(session, lambda row: PIXEL, apply=apply) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        root = f"/{server.token}/"
        page = ask(server, "GET", root)[1]
        assert "Do both pictures show the same individual? Question 1 of 1." in page
        assert "Apply" not in page
        ask(server, "POST", root + "answer", "verdict=same&number=0")
        page = ask(server, "GET", root)[1]
        assert "1 answer is in" in page
        assert "takes seconds and trains nothing" in page
        for words in ("3 decisions hold", "it is in use"):
            assert ask(server, "POST", root + "answer", "verdict=apply")[0] == 303
            assert words in ask(server, "GET", root)[1]
        server.shutdown()
        thread.join()


def test_a_port_in_use_is_a_sentence(doubtful_run):
    with serving(session_of(1, doubtful_run.folder / "a.csv")) as server:
        used = str(server.server_port)
        line = [python(), "-m", "mprd.cli", "answer", "--run", str(doubtful_run.folder)]
        done = subprocess.run(
            [*line, "--no-browser", "--port", used], capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert re.fullmatch(
        rf"mprd: error: Port {used} cannot be used \(.*\)\. Take --port 0, .*\n", done.stderr
    )


@contextmanager
def serving(session):
    with JudgingServer(session, lambda row: PIXEL) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_nobody_is_let_in_without_the_token(tmp_path):
    session = session_of(2, tmp_path / "answers.csv")
    with serving(session) as server:
        assert server.server_address[0] == "127.0.0.1"
        root = f"/{server.token}/"
        assert len(server.token) >= 20
        assert ask(server, "GET", root)[0] == 200
        for path in ("/", "/x/", root[:-2] + "/", root + "etc", root + "../"):
            assert ask(server, "GET", path)[0] == 404, path
        body = "verdict=same&number=0"
        assert ask(server, "POST", "/answer", body)[0] == 404
        assert ask(server, "POST", root + "answer", body, Host="evil.example")[0] == 404
        assert said(session.out) == []
        for bad in ("", "verdict=none&number=0", "verdict=same&number=x", "verdict=same&number=7"):
            assert ask(server, "POST", root + "answer", bad)[0] == 303
        assert said(session.out) == []
        assert ask(server, "POST", root + "answer", body)[0] == 303
        assert len(said(session.out)) == 1


def test_names_of_files_are_text(tmp_path):
    hostile = [Shown(("<script>x()</script>", "b"), ("<b>", ""), (0, 1), 2)]
    with serving(Session(hostile, DecisionLog(tmp_path / "answers.csv"))) as server:
        page = ask(server, "GET", f"/{server.token}/")[1]
    assert "<script>x()" not in page
    assert "&lt;script&gt;x()" in page
    assert "camera &lt;b&gt;" in page


@pytest.fixture
def doubtful_run(judged_run, tmp_path):
    """A run whose first cluster was cut in two."""
    run = RunLayout(shutil.copytree(judged_run.folder, tmp_path / "run"))
    old = read_artifact(run.final.clusters, CLUSTERS)
    labels = old["labels"].copy()
    labels[np.flatnonzero(labels == 0)[::2]] = len(old["sizes"])
    write_labels(run, labels, np.arange(labels.max() + 1))
    return run


def test_a_run_raises_questions(doubtful_run):
    found = questions(doubtful_run.folder, 20)
    index = read_artifact(doubtful_run.index, INDEX)
    for question in found:
        for path, row in zip(question.paths, question.rows, strict=True):
            assert index["path"][row] == path
            assert index["split"][row] == 0
    assert len({frozenset(q.rows) for q in found}) == len(found) > 0


def test_by_keys_in_a_browser(tmp_path, browser):
    session = session_of(3, tmp_path / "answers.csv")
    with serving(session) as server:
        page = browser.new_page()
        asked, told = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto(server.address)
        assert "1 of 3" in page.inner_text("body")
        assert page.locator("figure img").count() == 2
        assert "camera gate" in page.inner_text("body")
        for key, text in (("s", "2 of 3"), ("d", "3 of 3"), ("u", "2 of 3"), (" ", "3 of 3")):
            with page.expect_navigation():
                page.keyboard.press(key)
            assert text in page.inner_text("body")
        with page.expect_navigation():
            page.get_by_role("button", name="different").click()
        assert "That is all, thank you. 3 answers" in page.inner_text("body")
        page.close()
    assert said(session.out) == ["same", "unsure", "different"]
    assert told == []
    assert [url for url in asked if not url.startswith((server.address, "data:"))] == []


def test_nothing_is_lost_at_a_kill(doubtful_run, tmp_path):
    """The command itself: answers are on disk when it is killed the hard way."""
    out = tmp_path / "answers.csv"
    command = [python(), "-m", "mprd.cli", "answer", "--run", str(doubtful_run.folder)]
    child = subprocess.Popen(
        [*command, "--out", str(out), "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    try:
        address = re.search(r"http://127.0.0.1:(\d+)(/\S+/)", child.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=30)
        connection.request("GET", address[2])
        page = connection.getresponse().read().decode()
        assert page.count('src="data:image/webp') == 2
        connection.close()
        connection.request("POST", f"{address[2]}answer", "verdict=different&number=0")
        assert connection.getresponse().status == 303
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    assert said(out) == ["different"]
