"""Local pages, from their start to Ctrl-C; and pages as files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mprd.cli.interrupts import Stopped
from mprd.errors import UserError, say

if TYPE_CHECKING:
    from mprd.judging.local import LocalServer


def show_page(
    make: "Callable[[int], LocalServer]", port: int, what: str, folder: Path, *, browser: bool
) -> None:
    """Serve a page until Ctrl-C.

    Args:
        make: binds the server to a port.
        port: 0: any that is free.
        what: is shown, for the line with the address.
        folder: of the run.
        browser: open the page.

    Raises:
        UserError: the port cannot be used.
    """
    from contextlib import nullcontext

    from mprd.judging.opening import opened

    try:
        server = make(port)
    except OSError as error:
        raise UserError(
            f"Port {port} cannot be used ({error.strerror}). Take --port 0, which picks a free one."
        ) from None
    with server:
        say(f"{what} at {server.address}  (Ctrl-C ends)", flush=True)
        try:
            with opened(server.address, folder) if browser else nullcontext():
                server.serve_forever()
        except Stopped:
            say("")


def require_files(images: Sequence[Path]) -> None:
    """Check that images can be shown: rows of features may have names of no files.

    Raises:
        UserError: one is no file.
    """
    if not all(map(Path.is_file, images)):
        raise UserError("--html shows the images: name those of --features, too.")


def write_page(page: str, out: Path) -> None:
    """Write a page for a user."""
    from mprd.artifacts import atomic

    with atomic(out, lock=False) as temporary:
        temporary.write_text(page, encoding="utf-8")
