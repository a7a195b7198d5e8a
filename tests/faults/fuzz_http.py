"""Odd requests to the page of a run, some of which are right but for their content."""

import json
import random
import re
import shutil
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mprd.browsing.server import BrowseServer
from mprd.errors import UserError
from tests.browsing.people import browsing
from tests.faults.fuzz_bytes import mutated
from tests.faults.fuzz_made import ODD

_PATHS = ("", "state", "images", "image/3", "small/0", "large/1", "browse.js", "act", "nothing")
_ACTIONS = ("merge", "split", "move", "same", "different", "name", "confirm", "undo", "redo")
_FIELDS = ("clusters", "rows", "to", "name", "entry", "anyway", "revision", "action", "cluster")
_TOKENS = (
    b"\r\n", b"\0", b"%00", b"%2e%2e/", b"../", b"?", b"#", b"//", b" HTTP/1.1", b" HTTP/0.9",
    b"Content-Length: 4\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n", b"Host: x\r\n", b"Origin: null\r\n", b"Connection: keep-alive\r\n",
    b"POST ", b"\xff" * 8, b"9" * 400, b"[" * 3000, b"x" * 70_000,
)  # fmt: skip


class Page:
    """The page of a run, and what goes wrong in it."""

    def __init__(self, server: BrowseServer) -> None:
        self.server = server
        self.faults: list[str] = []
        server.handle_error = lambda *_: self.faults.append(traceback.format_exc())  # type: ignore[method-assign]

    def request(self, whole: bytes, rng: random.Random) -> bytes:
        """Return a request: changed bytes of a right one, or odd wishes in the right place."""
        wish: dict[str, Any] = {"action": rng.choice(_ACTIONS), "clusters": [0, 1], "rows": [0]}
        wish["revision"] = self.server.desk.board.revision
        for _ in range(rng.choice((0, 0, 1, 3))):
            wish[rng.choice(_FIELDS)] = rng.choice([*ODD, rng.randrange(60), [rng.randrange(60)]])
        body = json.dumps(wish).encode()
        head = f"Host: 127.0.0.1:{self.server.server_port}\r\n"
        if rng.random() < 0.5:
            head = (
                f"POST /{self.server.token}/act HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n"
            )
        else:
            number = rng.choice([rng.choice(_PATHS), f"small/{rng.choice(ODD[:16])}"])
            head, body = f"GET /{self.server.token}/{number} HTTP/1.1\r\n{head}", b""
        data = head.encode(errors="replace") + b"Connection: close\r\n\r\n" + body
        for _ in range(rng.choice((0, 0, 1, 2))):
            at = rng.randrange(len(data) + 1)
            data = data[:at] + rng.choice(_TOKENS) + data[at:]
        return mutated(data, rng) if rng.random() < 0.3 else data

    def read(self, path: Path) -> object:
        """Send the bytes of a file, and return the status of the answer.

        Raises:
            UserError: it was refused, or got no answer.
            AssertionError: something failed.
        """
        answer = b""
        place = ("127.0.0.1", self.server.server_port)
        with socket.create_connection(place, timeout=9) as connection:
            try:
                connection.sendall(path.read_bytes())
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(2**16):
                    answer += part
            except TimeoutError:
                raise
            except OSError:  # it was closed: what it sent was too long to be read
                pass
        if self.faults:
            raise AssertionError(self.faults.pop())
        found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
        if found is None or found[1].startswith(b"4"):
            raise UserError("refused")
        assert found[1][:1] in b"23", answer[:300]
        return int(found[1])


@contextmanager
def page(run: Path, folder: Path) -> Iterator[Page]:
    """Serve the page of a copy of a run, which takes decisions."""
    copy = folder / "run"
    shutil.copytree(run, copy, symlinks=True)
    (folder / "request").write_bytes(b"GET / HTTP/1.1\r\n\r\n")
    with browsing(copy) as server:
        yield Page(server)
