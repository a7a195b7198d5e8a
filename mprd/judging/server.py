"""A web server for one person on this machine."""

import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader

from mprd.judging.session import Asking

_ANSWERS = {"same": "1", "different": "0", "skip": ""}
_LONGEST = 1000  # bytes of a form


class JudgingServer(ThreadingHTTPServer):
    """Serves the pairs of a session at `address`, to nobody without its token.

    It listens only on 127.0.0.1 and answers only requests that name this host, so that a page from
    elsewhere in the same browser cannot reach it.
    """

    def __init__(self, session: Asking, picture: Callable[[int], str], port: int = 0) -> None:
        """Bind.

        Args:
            session: what is asked.
            picture: index row -> data address of the image.
            port: 0: any that is free.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.session, self.picture = session, picture
        self.token = secrets.token_urlsafe(16)
        environment = Environment(loader=PackageLoader("mprd.judging"), autoescape=True)
        self.template = environment.get_template("judge.html.j2")

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: JudgingServer

    def do_GET(self) -> None:
        """Show the current pair."""
        if self._allowed(f"/{self.server.token}/"):
            self._show()

    def do_POST(self) -> None:
        """Take an answer, or take it back, and show the next pair."""
        if not self._allowed(f"/{self.server.token}/answer"):
            return
        length = int(self.headers.get("Content-Length") or 0)
        form = parse_qs(self.rfile.read(min(length, _LONGEST)).decode(errors="replace"))
        verdict, number = (form.get(key, [""])[0] for key in ("verdict", "number"))
        if verdict == "undo":
            self.server.session.undo()
        elif verdict in _ANSWERS and number.isdecimal():
            self.server.session.answer(int(number), _ANSWERS[verdict])  # type: ignore[arg-type]
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/{self.server.token}/")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the console is for the address."""

    def _allowed(self, path: str) -> bool:
        host = f"127.0.0.1:{self.server.server_port}"
        if self.headers.get("Host") == host and secrets.compare_digest(self.path, path):
            return True
        self.send_error(HTTPStatus.NOT_FOUND)
        return False

    def _show(self) -> None:
        session = self.server.session
        question = session.current
        page = self.server.template.render(
            question=question,
            pictures=[self.server.picture(row) for row in question.rows] if question else [],
            number=session.answered,
            total=len(session.questions),
            out=session.out,
        ).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(page)
