"""The server of all local pages: odd requests, strangers, slow ones, what its answers carry."""

import http.client
import re
import socket
import stat
import threading
import time
import webbrowser
from contextlib import contextmanager

import pytest

from mprd.errors import UserError
from mprd.judging import local, opening
from mprd.judging.local import Asked, LocalServer, Reply

LONG = "x" * 70_000
SURROUNDINGS = {
    "full": (OSError(28, "No space left on device", "a.h5"), "a.h5: No space left on device."),
    "gone": (OSError(116, "Stale file handle"), "Stale file handle. Look after the disk"),
    "memory": (MemoryError(), "memory is too small"),
}


class Echo(LocalServer):
    """Says what it was asked."""

    def respond(self, asked: Asked, nonce: str) -> Reply:
        if asked.path == "fail":
            raise UserError("It is damaged: <b>.")
        if asked.path in SURROUNDINGS:
            raise SURROUNDINGS[asked.path][0]
        return Reply(f"{asked.path}|{asked.query}|{asked.body}|{nonce}".encode())


@contextmanager
def serving(server):
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server():
    with serving(Echo()) as one:
        yield one


def raw(server, data: bytes, *, close: bool = True) -> bytes:
    """Send bytes, and return all that comes back until the other side ends it."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(data)
        if close:
            connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


def ask(server, method="GET", path="", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/{server.token}/{path}", body, named)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return found


def test_what_every_answer_carries(server):
    for path, status in (("a?b=c", 200), ("fail", 409)):
        found, text, headers = ask(server, path=path)
        assert found == status
        policy = headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "same-origin"
        if status == 200:
            assert text.startswith("a|b=c|None|")
            assert f"'nonce-{text.rpartition('|')[2]}'" in policy
        else:
            assert headers["Content-Type"].startswith("text/plain")
            assert text == "It is damaged: <b>.\n"
    assert ask(server)[2]["Content-Security-Policy"] != ask(server)[2]["Content-Security-Policy"]


@pytest.mark.parametrize("path", SURROUNDINGS)
def test_what_the_surroundings_refuse_is_a_sentence(server, path, capsys):
    status, text, _ = ask(server, "GET", path)
    assert (status, text.startswith(SURROUNDINGS[path][1])) == (409, True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://x"]
)
def test_another_page_is_refused_even_with_the_token(server, origin):
    assert ask(server, "POST", "act", b"1", Origin=origin)[0] == 403
    assert ask(server, "GET", "small/1", Origin=origin)[0] == 403


def test_our_own_page_is_answered(server):
    assert ask(server, "POST", "act", b"1", Origin=server.origin)[0] == 200
    assert ask(server, "POST", "act", b"1", Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(server, "POST", "act", b"1", Sec_Fetch_Site="same-origin")[0] == 200
    assert ask(server, "GET", "", Sec_Fetch_Site="cross-site")[0] == 200, "from the file on disk"


@pytest.mark.parametrize("host", ["localhost", "evil.example", "127.0.0.1", "", "[::1]"])
def test_another_host_is_refused(server, host):
    assert ask(server, Host=host)[0] == 404
    assert ask(server, Host=f"{host}:{server.server_port}")[0] == (
        200 if host == "127.0.0.1" else 404
    )


ODD = {
    b"GET /{token}": 404,
    b"GET /{token}x/": 404,
    b"GET http://evil/{token}/": 404,
    b"GET /{token}/#a": 404,
    b"GET /\xff\xfe{token}/": 404,
    b"GET /\xc3\xa9/": 404,
    b"GET http://[/": 400,
    b"GET ": 404,
    b"GET /%00%ff/": 404,
    b"GET /../../etc/passwd": 404,
    b"GET /" + LONG.encode(): 414,
    b"HEAD /{token}/": 405,
    b"PUT /{token}/": 405,
    b"OPTIONS *": 405,
    b"\x00\x01\x02 /": 405,
    b"POST /{token}/a": 411,
}


@pytest.mark.parametrize("line", ODD)
def test_odd_requests(server, line, capsys):
    host = f"Host: 127.0.0.1:{server.server_port}"
    whole = (
        line.replace(b"{token}", server.token.encode()) + f" HTTP/1.1\r\n{host}\r\n\r\n".encode()
    )
    assert int(re.match(rb"HTTP/1.[01] (\d+)", raw(server, whole))[1]) == ODD[line]
    assert capsys.readouterr().err == ""
    assert ask(server)[0] == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ("Content-Length: x", b"", 400),
        ("Content-Length: -1", b"", 400),
        ("Content-Length: \u00b2", b"", 400),
        ("Content-Length: 1\r\nContent-Length: 2", b"ab", 411),
        ("Content-Length: 1001", b"x" * 1001, 413),
        ("Content-Length: 99999999999999999999", b"", 413),
        ("Content-Length: 9", b"short", 400),
        ("Transfer-Encoding: chunked", b"1\r\na\r\n0\r\n\r\n", 411),
        ("Content-Length: 4", b"\xff\x00ab", 200),
        (f"X: {LONG}", b"", 431),
        ("\r\n".join(f"X{n}: 1" for n in range(200)), b"", 431),
    ],
)
def test_odd_bodies(server, headers, body, status, capsys):
    line = f"POST /{server.token}/a HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n{headers}"
    answer = raw(server, f"{line}\r\n\r\n".encode("latin-1") + body)
    assert int(answer.split()[1]) == status
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST /{token}/a HTTP/1.1\r\n{more}\r\nabc"],
)
def test_a_half_open_connection_ends(server, monkeypatch, capsys, sent):
    monkeypatch.setattr(local, "_SECONDS", 0.2)
    monkeypatch.setattr(LocalServer.wait_for, "__defaults__", (0.2,))
    more = f"Host: 127.0.0.1:{server.server_port}\r\nContent-Length: 500\r\n".encode()
    data = sent.replace(b"{token}", server.token.encode()).replace(b"{more}", more)
    start = time.monotonic()
    raw(server, data, close=False)
    assert time.monotonic() - start < 5
    assert capsys.readouterr().err == ""
    assert ask(server)[0] == 200


def test_a_connection_that_drips_ends(server, monkeypatch):
    monkeypatch.setattr(LocalServer.wait_for, "__defaults__", (0.5,))
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        start = time.monotonic()
        connection.settimeout(0.05)
        ended = False
        while not ended and time.monotonic() - start < 8:
            try:
                connection.sendall(b"G")
                ended = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        assert ended
        assert time.monotonic() - start < 5


def test_many_connections_leave_room(server, monkeypatch):
    monkeypatch.setattr(LocalServer.wait_for, "__defaults__", (1.0,))
    with serving(Echo()) as other:
        before = set(threading.enumerate())  # those of other servers may end at any time
        waiting = [
            socket.create_connection(("127.0.0.1", other.server_port), timeout=5)
            for _ in range(100)
        ]
        time.sleep(0.3)
        assert 0 < len(set(threading.enumerate()) - before) <= local._MOST_CONNECTIONS
        for one in waiting:
            one.close()
        time.sleep(1)
        assert ask(other)[0] == 200


def test_who_goes_away_is_no_error(server, capsys):
    for _ in range(5):
        connection = socket.create_connection(("127.0.0.1", server.server_port))
        host = f"Host: 127.0.0.1:{server.server_port}"
        connection.sendall(f"GET /{server.token}/ HTTP/1.1\r\n{host}\r\n\r\n".encode())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.close()
    time.sleep(0.3)
    assert capsys.readouterr().err == ""


def test_the_browser_is_not_told_the_token_on_its_command_line(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(webbrowser, "open", given.append)
    address = "http://127.0.0.1:1/secret-token/"
    with opening.opened(address, tmp_path):
        (file,) = tmp_path.iterdir()
        assert given == [file.as_uri()]
        assert "secret" not in given[0]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert address in file.read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_no_hindrance(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(webbrowser, "open", given.append)
    with opening.opened("http://127.0.0.1:1/secret/", tmp_path / "none"):
        assert given[0].startswith("file:")
