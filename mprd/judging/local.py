"""Pages for one person on this machine: a web server that nobody else can use."""

import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mprd.errors import UserError, in_words

_MOST_CONNECTIONS = 64
_SECONDS = 30.0  # in which a request must be whole
_SITE = ("same-origin", "none")
_HTML, _TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"
_POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; script-src 'self' 'nonce-{0}'; "
    "style-src 'self' 'nonce-{0}'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Under `no-referrer` a browser sends forms with the origin `null`, as it does for strangers.
    "Referrer-Policy": "same-origin",
}


class Asked(NamedTuple):
    """A request of someone who knows the token.

    Attributes:
        path: below the token, such as "" or "picture/3".
        query: what follows the question mark.
        body: of a POST; None: it is a GET.
    """

    path: str
    query: str = ""
    body: bytes | None = None


class Reply(NamedTuple):
    """An answer.

    Attributes:
        body: of the answer.
        kind: its media type.
        status: of HTTP.
        headers: beside those that all answers have.
    """

    body: bytes = b""
    kind: str = _HTML
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = {}


class Refused(Exception):  # noqa: N818 - no error of ours, but of who asked
    """A request that gets no answer."""

    def __init__(self, status: HTTPStatus, why: str = "") -> None:
        """Refuse.

        Args:
            status: of HTTP.
            why: a sentence; "": what the status says.
        """
        super().__init__(why or status.description or status.phrase)
        self.status = status


class LocalServer(ThreadingHTTPServer):
    """Serves pages at `address`, to nobody without its token.

    It listens only on 127.0.0.1 and answers only requests that name this host, so that a page from
    elsewhere in the same browser cannot reach it; what comes from such a page is refused even with
    the token.

    Attributes:
        token: part of every address.
        longest: bytes of a POST, at most.
    """

    longest = 1000
    daemon_threads = True
    request_queue_size = _MOST_CONNECTIONS

    def __init__(self, port: int = 0) -> None:
        """Bind.

        Args:
            port: 0: any that is free.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.token = secrets.token_urlsafe(16)
        self._until: dict[socket.socket, float] = {}
        self._open: set[socket.socket] = set()
        self._connections = threading.Lock()

    @property
    def origin(self) -> str:
        """What addresses of this server begin with."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"{self.origin}/{self.token}/"

    def respond(self, asked: Asked, nonce: str) -> Reply:
        """Return the answer to a request.

        Args:
            asked: the request.
            nonce: scripts and styles inside a page run only with it.

        Raises:
            Refused: there is none.
        """
        raise NotImplementedError

    def wait_for(self, connection: socket.socket, seconds: float = _SECONDS) -> None:
        """Give a connection so much time to send a request; 0: it has sent it."""
        with self._connections:
            if seconds:
                self._until[connection] = time.monotonic() + seconds
            else:
                self._until.pop(connection, None)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Tell whether there is room for one more connection."""
        with self._connections:
            return len(self._open) < _MOST_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        with self._connections:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._connections:
            self._open.discard(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End connections that send nothing whole; called twice a second."""
        now = time.monotonic()
        with self._connections:
            late = [one for one, until in self._until.items() if until < now]
        for connection in late:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has ended by itself
                self.wait_for(connection, 0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what failed, unless only the other side went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: LocalServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "mprd", ""
    timeout = _SECONDS

    def handle_one_request(self) -> None:
        """Wait for a request, and answer it."""
        self.server.wait_for(self.connection)
        try:
            super().handle_one_request()
        finally:
            self.server.wait_for(self.connection, 0)

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer(lambda: None)

    def do_POST(self) -> None:
        """Answer a POST."""
        self._answer(self._body)

    def _answer(self, body: Callable[[], bytes | None]) -> None:
        nonce = secrets.token_urlsafe(16)
        try:
            path, query = self._allowed()
            asked = Asked(path, query, body())
            self.server.wait_for(self.connection, 0)
            with in_words():
                reply = self.server.respond(asked, nonce)
        except Refused as refused:
            self.send_error(refused.status, explain=str(refused))
            return
        except UserError as error:
            reply = Reply(f"{error}\n".encode(errors="replace"), _TEXT, HTTPStatus.CONFLICT)
        self._send(reply, nonce)

    def _allowed(self) -> tuple[str, str]:
        """Return path below the token, and query.

        Raises:
            Refused: it is none of ours to ask.
        """
        server = self.server
        if self.headers.get_all("Host") != [server.origin.removeprefix("http://")]:
            raise Refused(HTTPStatus.NOT_FOUND)
        path, query = _parts(self.path)
        _, token, *below = path.split("/", 2) if path.startswith("/") else ("", "")
        # Bytes: text that is not ASCII cannot be compared in constant time.
        known = secrets.compare_digest(token.encode(errors="replace"), server.token.encode())
        if not known or not below:
            raise Refused(HTTPStatus.NOT_FOUND)
        foreign = {*self.headers.get_all("Origin", [])} - {server.origin}
        if self.command == "POST":
            foreign |= {*self.headers.get_all("Sec-Fetch-Site", [])}.difference(_SITE)
        if foreign:
            raise Refused(HTTPStatus.FORBIDDEN, "This comes from another page.")
        return below[0], query

    def _body(self) -> bytes:
        """Return the body of a POST.

        Raises:
            Refused: its length is not said, too large, or not that.
        """
        lengths = self.headers.get_all("Content-Length", [])
        if self.headers.get("Transfer-Encoding") or len(lengths) != 1:
            raise Refused(HTTPStatus.LENGTH_REQUIRED)
        length = lengths[0].strip()
        if not (length.isascii() and length.isdecimal()):
            raise Refused(HTTPStatus.BAD_REQUEST, "This is no length.")
        if len(length) > 9 or int(length) > self.server.longest:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Refused(HTTPStatus.BAD_REQUEST, "This request was cut short.")
        return body

    def _send(self, reply: Reply, nonce: str) -> None:
        if self.request_version == "HTTP/0.9":  # it has no headers
            self.request_version = "HTTP/1.0"
        self.send_response(reply.status)
        headers = {"Content-Type": reply.kind, "Content-Length": str(len(reply.body))}
        headers |= {"Cache-Control": "no-store"} | _HEADERS
        headers |= {"Content-Security-Policy": _POLICY.format(nonce)} | dict(reply.headers)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request in a sentence, and end the connection: its body was not read."""
        status = HTTPStatus(code)
        if status == HTTPStatus.NOT_IMPLEMENTED:  # a method of another name
            status = HTTPStatus.METHOD_NOT_ALLOWED
        elif code == HTTPStatus.HTTP_VERSION_NOT_SUPPORTED:
            status = HTTPStatus.BAD_REQUEST
        self.close_connection = True
        text = f"{explain or status.description or status.phrase}\n".encode()
        self._send(Reply(text, _TEXT, status, {"Connection": "close"}), "")

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the console is for the address."""


def _parts(target: str) -> tuple[str, str]:
    """Return path and query of the target of a request.

    Raises:
        Refused: it is no target.
    """
    try:
        found = urlsplit(target)
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST) from None
    if found.scheme or found.netloc or found.fragment:
        raise Refused(HTTPStatus.NOT_FOUND)
    return found.path, found.query
