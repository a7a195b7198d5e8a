"""Pairs to judge, on a page for one person on this machine."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader

from mprd.errors import UserError, in_words, shown
from mprd.judging.local import Asked, LocalServer, Refused, Reply
from mprd.judging.session import Asking, Session

_ANSWERS = {"same": "1", "different": "0", "skip": ""}


class JudgingServer(LocalServer):
    """Serves the pairs of a session at `address`."""

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
        super().__init__(port)
        self.session, self.picture, self.apply = session, picture, apply
        self.applied = ""
        self._applying = threading.Lock()
        environment = Environment(
            loader=PackageLoader("mprd.judging"), autoescape=True, finalize=shown
        )
        self.template = environment.get_template("judge.html.j2")

    def apply_answers(self) -> None:
        """Let the answers hold; a second click waits for the first."""
        with self._applying:
            if self.apply is not None:
                try:
                    with in_words():
                        self.applied = self.apply()
                except UserError as error:
                    self.applied = str(error)

    def respond(self, asked: Asked, nonce: str) -> Reply:
        """Show the current pair; take an answer, or take it back, and lead to the next pair."""
        if asked.body is None and asked.path == "":
            return Reply(self._page(nonce))
        if asked.body is None or asked.path != "answer":
            raise Refused(HTTPStatus.NOT_FOUND)
        self._take(asked.body)
        return Reply(status=HTTPStatus.SEE_OTHER, headers={"Location": f"/{self.token}/"})

    def _take(self, body: bytes) -> None:
        try:
            form = parse_qs(body.decode(errors="replace"), max_num_fields=10)
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST) from None
        verdict, number = (form.get(key, [""])[0] for key in ("verdict", "number"))
        whole = number.isascii() and number.isdecimal()
        session = self.session
        if verdict == "apply":
            self.apply_answers()
        elif not whole:
            return
        elif verdict == "undo":
            session.undo(int(number))
        elif verdict == "retract" and isinstance(session, Session):
            session.retract(int(number))
        elif verdict in _ANSWERS:
            session.answer(int(number), _ANSWERS[verdict])  # type: ignore[arg-type]

    def _page(self, nonce: str) -> bytes:
        session = self.session
        question = session.current
        page = self.template.render(
            nonce=nonce,
            question=question,
            pictures=[self.picture(row) for row in question.rows] if question else [],
            number=session.answered,
            total=len(session.questions),
            out=session.out,
            clashes=session.clash if isinstance(session, Session) else [],
            can_apply=self.apply is not None,
            applied=self.applied,
        )
        return page.encode(errors="replace")
