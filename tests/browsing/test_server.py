"""What the page asks its server for: pictures, facts, odd wishes; and the way in."""

import http.client
import io
import json
import shutil
import threading
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from mprd.artifacts import INDEX, read_artifact
from mprd.decisions.log import read_decisions
from mprd.errors import UserError
from mprd.judging.opening import opened
from tests.browsing.people import act, ask, browsing, state


def picture(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request("GET", f"/{server.token}/{path}")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "image/webp"
    assert "immutable" in answer.getheader("Cache-Control")
    data = answer.read()
    connection.close()
    return Image.open(io.BytesIO(data))


@pytest.fixture
def originals(run):
    """Larger originals than what was stored of them."""
    index = read_artifact(run.index, INDEX)
    return Path(str(index.attributes["root"]))


def test_pictures(server, originals, monkeypatch):
    small = picture(server, "small/3")
    assert small.size == (16, 32)
    large = picture(server, "large/3")
    assert large.size == Image.open(originals / server.desk.run.paths[3]).size
    calls = []
    monkeypatch.setattr("mprd.browsing.pictures.webp", lambda *given: calls.append(given) or b"x")
    picture_again = ask(server, "GET", "small/3")
    assert picture_again[0] == 200
    assert calls == [], "made once"
    ask(server, "GET", "small/4")
    assert len(calls) == 1


def test_a_picture_whose_file_is_gone_or_another(server, monkeypatch):
    def gone(path, sha256, bits):
        raise UserError("gone")

    monkeypatch.setattr("mprd.browsing.pictures.decoded", gone)
    assert picture(server, "large/3").size == (16, 32), "what was stored"


def test_what_is_not_there(server):
    for path in (
        "small/30",
        "small/-1",
        "small/x",
        "small/",
        "small/0/1",
        "small/" + "1" * 50,
        "image/30",
        "../clusters.csv",
        "main.py",
        "browse.html.j2",
        "act",
    ):
        assert ask(server, "GET", path)[0] == 404, path
    assert ask(server, "POST", "state", "{}")[0] == 405
    for name in ("browse.css", "main.js", "list.js"):
        assert ask(server, "GET", name)[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b"{}", 409),
        (b'{"action": "merge", "revision": []}', 409),
        (b'{"action": "undo", "revision": "x"}', 409),
    ],
)
def test_odd_wishes(server, run, body, status, capsys):
    assert ask(server, "POST", "act", body)[0] == status
    assert read_decisions(run.decisions) == []
    assert capsys.readouterr().err == ""


def test_a_body_that_is_too_large_is_not_read(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest("POST", f"/{server.token}/act")
    connection.putheader("Content-Length", str(2**20 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_what_is_said_of_an_image(server):
    facts = json.loads(ask(server, "GET", "images")[1])
    assert len(facts["paths"]) == len(facts["camera"]) == len(facts["time"]) == 30
    one = json.loads(ask(server, "GET", "image/4")[1])
    assert one["path"] == facts["paths"][4]
    relations = [value for _, value in one["neighbours"]]
    assert relations == sorted(relations, reverse=True)
    assert all(other != 4 for other, _ in one["neighbours"])


def test_a_state_that_is_known_is_not_sent_again(server):
    revision = state(server)["revision"]
    assert ask(server, "GET", f"state?{revision}") == (204, "")
    act(server, "confirm", clusters=[0])
    assert ask(server, "GET", f"state?{revision}")[0] == 200


def test_a_damaged_log_is_a_sentence(server, run):
    run.decisions.write_text("x,y\n1,2\n")
    status, text = ask(server, "GET", "state")
    assert status == 409
    assert "is no file of decisions" in text


def test_a_failed_apply_is_a_sentence(run):
    def fail():
        raise UserError("A workflow works on it.")

    with browsing(run.folder, fail) as server:
        assert act(server, "apply")["problem"] == "A workflow works on it."


def test_apply_shows_what_came_of_it(run):
    from mprd.stages.apply import apply_decisions

    with browsing(run.folder, lambda: apply_decisions(run.folder).words()) as server:
        found = state(server)
        merged = act(server, "merge", clusters=found["known"][:2])["state"]
        assert merged["waiting"] == 1
        answer = act(server, "apply")
        assert "1 decision holds in" in answer["done"]
        assert answer["state"]["waiting"] == 0
        assert answer["state"]["revision"] != merged["revision"]
        assert len(answer["state"]["known"]) <= len(found["known"]) - 1
        taken_back = act(server, "undo")
        assert "Apply again" in taken_back["done"]
        assert act(server, "apply")["state"]["numbers"] == found["numbers"]


def test_pages_do_not_wait_for_apply(run):
    began, ends = threading.Event(), threading.Event()

    def slow():
        began.set()
        shutil.copystat(__file__, run.final.clusters)  # half of the files are new
        assert ends.wait(20)
        return "Applied."

    with browsing(run.folder, slow) as server, ThreadPoolExecutor() as pool:
        before = state(server)
        answer = pool.submit(act, server, "apply")
        assert began.wait(20)
        try:
            assert state(server) == before, "the clusters before Apply"
            assert ask(server, "GET", "image/0")[0] == 200
            for action in ("undo", "confirm", "apply"):
                said = act(server, action, clusters=before["known"][:1])
                assert "Apply is running. Nothing was written" in said["problem"]
            assert not answer.done()
        finally:
            ends.set()
        assert answer.result()["done"] == "Applied."
        assert state(server)["revision"] != before["revision"], "the clusters after it"
        assert "confirm" in act(server, "confirm", clusters=before["known"][:1])["done"]


def test_the_file_leads_into_the_page(server, run, browser, monkeypatch):
    given = []
    monkeypatch.setattr(webbrowser, "open", given.append)
    page = browser.new_page()
    with opened(server.address, run.folder):
        page.goto(given[0])
        page.wait_for_url(server.address)
        page.wait_for_selector("html[data-ready]")
    page.close()


def test_the_page_cannot_be_framed_or_asked_by_another(server, browser, tmp_path):
    page = browser.new_page()
    (tmp_path / "evil.html").write_text(
        f'<iframe src="{server.address}"></iframe><img src="{server.address}small/1">'
        f'<form method="post" action="{server.address}act"><button>x</button></form>'
    )
    page.goto((tmp_path / "evil.html").as_uri())
    page.wait_for_timeout(300)
    assert page.evaluate("() => document.images[0].naturalWidth") == 0
    assert page.frames[1].query_selector("#list") is None
    with page.expect_navigation():
        page.click("button")
    assert "another page" in page.inner_text("body")
    page.close()
