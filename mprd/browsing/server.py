"""The page of `mprd browse`, served to one person on this machine."""

import json
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader

from mprd.browsing.desk import Desk
from mprd.browsing.pictures import Pictures
from mprd.errors import pasted, shown
from mprd.judging.local import Asked, LocalServer, Refused, Reply

_JSON, _WEBP = "application/json", "image/webp"
_ASSETS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}


class BrowseServer(LocalServer):
    """Serves the clusters of a run at `address`."""

    longest = 2**20

    def __init__(self, desk: Desk, port: int = 0) -> None:
        """Bind.

        Args:
            desk: takes what the person decides.
            port: 0: any that is free.
        """
        super().__init__(port)
        self.desk = desk
        self._shown = desk.run, Pictures(desk.run)
        environment = Environment(
            loader=PackageLoader("mprd.browsing"), autoescape=True, finalize=shown
        )
        self._page = environment.get_template("browse.html.j2")
        folder = files("mprd.browsing") / "templates"
        self._assets = {
            one.name: (one.read_bytes(), _ASSETS[suffix])
            for one in folder.iterdir()
            if (suffix := one.name[one.name.rfind(".") :]) in _ASSETS
        }

    def respond(self, asked: Asked, nonce: str) -> Reply:
        """Answer a request: the page and its parts, pictures, the state, an action."""
        if asked.body is not None:
            if asked.path != "act":
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED)
            return self._act(asked.body)
        if asked.path == "":
            folder = self.desk.run.layout.folder
            name, word = folder.resolve().name, pasted(folder)
            page = self._page.render(name=name, folder=folder, word=word)
            return Reply(page.encode(errors="replace"))
        if asked.path in self._assets:
            return Reply(*self._assets[asked.path])
        if asked.path == "images":
            return _json(self.desk.run.facts() | {"ratio": self._pictures.ratio})
        if asked.path == "state":
            board = self.desk.board
            if asked.query == board.revision:
                return Reply(status=HTTPStatus.NO_CONTENT)
            return _json(board.state())
        kind, _, number = asked.path.partition("/")
        row = self._row(number)
        if kind == "image":
            return _json(self.desk.board.image(row))
        if kind == "small":
            return Reply(self._pictures.small(row), _WEBP, headers=_FOREVER)
        if kind == "large":
            return Reply(self._pictures.large(row), _WEBP, headers=_FOREVER)
        raise Refused(HTTPStatus.NOT_FOUND)

    @property
    def _pictures(self) -> Pictures:
        """The pictures of the images that the run has now."""
        run, (shown, pictures) = self.desk.run, self._shown
        if run.version != shown.version:  # images were added meanwhile
            pictures = Pictures(run)
            self._shown = run, pictures
        return pictures

    def _act(self, body: bytes) -> Reply:
        try:
            wish = json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "This is no JSON.") from None
        if not isinstance(wish, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "This is no action.")
        said = self.desk.act(wish)
        status = HTTPStatus.CONFLICT if "problem" in said else HTTPStatus.OK
        return _json(said | {"state": self.desk.board.state()}, status)

    def _row(self, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise Refused(HTTPStatus.NOT_FOUND)
        if int(text) >= len(self.desk.run.paths):
            raise Refused(HTTPStatus.NOT_FOUND)
        return int(text)


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(json.dumps(value).encode(), _JSON, status)
