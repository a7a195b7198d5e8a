"""Show a local page in the browser, without its token where others could read it."""

import os
import secrets
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

_PAGE = '<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={}">\n'


@contextmanager
def opened(address: str, folder: Path) -> Iterator[None]:
    """Open a page in the browser, as long as it is there.

    Everybody on a machine can list the arguments of a program. So the browser is given a file that
    only its owner can read, which leads to the page and is removed in the end.

    Args:
        address: of the page, with the token.
        folder: for the file; where it cannot be written, a temporary one.
    """
    file = _file(folder) or _file(Path(tempfile.gettempdir()))
    try:
        if file is not None:
            file.write_text(_PAGE.format(escape(address)), encoding="utf-8")
            webbrowser.open(file.absolute().as_uri())
        yield
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


def _file(folder: Path) -> Path | None:
    """Return a new file that only its owner can read; None: the folder cannot be written to."""
    path = folder / f".page-{secrets.token_hex(8)}.html"
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return None
    return path
