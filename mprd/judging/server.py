"""A web server for one person on this machine."""

import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader

from mprd.errors import UserError
from mprd.judging.session import Asking, Session

_ANSWERS = {"same": "1", "different": "0", "skip": ""}
_LONGEST = 1000  # bytes of a form


class JudgingServer(ThreadingHTTPServer):
    """Serves the pairs of a session at `address`, to nobody without its token.

    It listens only on 127.0.0.1 and answers only requests that name this host, so that a page from
    elsewhere in the same browser cannot reach it.
    """

    def __init__(
        self,
        session: Asking,
        picture: Callable[[int], str],
        port: int = 0,
        apply: Callable[[], str] | None = None,
    ) -> None:
        """Bind.

        Args:
            session: what is asked.
            picture: index row -> data address of the image.
            port: 0: any that is free.
            apply: lets the answers hold in the clusters, and returns what came of it; None: they
                are for something else.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.session, self.picture, self.apply = session, picture, apply
        self.applied = ""
        self._applying = threading.Lock()
        self.token = secrets.token_urlsafe(16)
        environment = Environment(loader=PackageLoader("mprd.judging"), autoescape=True)
        self.template = environment.get_template("judge.html.j2")

    def apply_answers(self) -> None:
        """Let the answers hold; a second click waits for the first."""
        with self._applying:
            if self.apply is not None:
                try:
                    self.applied = self.apply()
                except UserError as error:
                    self.applied = str(error)

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
        session = self.server.session
        if verdict == "undo":
            session.undo()
        elif verdict == "apply":
            self.server.apply_answers()
        elif verdict == "retract" and isinstance(session, Session) and number.isdecimal():
            session.retract(int(number))
        elif verdict in _ANSWERS and number.isdecimal():
            session.answer(int(number), _ANSWERS[verdict])  # type: ignore[arg-type]
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
            clashes=session.clash if isinstance(session, Session) else [],
            can_apply=self.server.apply is not None,
            applied=self.server.applied,
        ).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(page)
