"""What a user is meant to read: the one exception, helpers to word it, and how text is printed."""

import errno
import os
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TextIO, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Folders of a run; `pipeline.layout` builds its paths on them.
EPOCHS, FINAL = "epochs", "final"
SHARED = "shared"  # beside the runs: what those with equal settings share
_EXPORTED = ("model.safetensors", "embeddings.h5", "clusters.csv")
_UNMAPPED = "failed to map segment"  # what the loader says of a library, as under `ulimit -v`
_JOINERS = "\u200c\u200d"  # words of some languages need them
_RAW_BYTES = range(0xDC80, 0xDD00)  # how Python holds the bytes of a name that is not UTF-8


def visible(text: object) -> str:
    """Return text of anyone as one line in which nothing is hidden, and nothing moves a terminal.

    What is neither a letter nor a sign that can be seen is written as its code: control characters,
    line breaks, marks that turn the direction, bytes that are not UTF-8.

    Example:
        >>> visible("a\\n\\x1b[31mb")
        'a\\\\n\\\\x1b[31mb'
    """
    words = str(text)
    return words if words.isprintable() else "".join(map(_visible, words))


def shown(value: object) -> object:
    """Return what a template of a page writes: text of anyone `visible`, ours as it is."""
    text = isinstance(value, str) and not hasattr(value, "__html__")
    return "\n".join(map(visible, str(value).split("\n"))) if text else value


def _visible(sign: str) -> str:
    if sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs":
        return sign
    if ord(sign) in _RAW_BYTES:
        return f"\\x{ord(sign) - _RAW_BYTES.start + 0x80:02x}"
    return sign.encode("unicode_escape").decode()


def say(*lines: object, file: TextIO | None = None, flush: bool = False) -> None:
    """Print lines that may hold text of anyone: names of files and cameras, values of configs.

    Args:
        lines: each is one line, whatever is in it.
        file: to print to; None: standard output.
        flush: do not wait for more.
    """
    print("\n".join(map(visible, lines)), file=file, flush=flush)


def pasted(word: object) -> str:
    """Return a path, or another word of a command that is suggested, as a shell takes it.

    Example:
        >>> pasted(Path("results/my crops"))
        "'results/my crops'"
    """
    return shlex.quote(str(word))


class UserError(Exception):
    """A mistake in the input that the user can fix.

    The message is one or two sentences: what is wrong, where, and how to fix it. Further arguments
    are further lines. Text of anyone in it is `visible`. The command line prints it without a
    traceback and exits with code 2.
    """

    def __str__(self) -> str:
        """Return the message."""
        return "\n".join(map(visible, self.args))


@dataclass(frozen=True)
class Lack:
    """Too little memory for what was tried.

    Attributes:
        on_gpu: the memory of the GPU.
        words: which memory, and what was asked of it, as a sentence.
    """

    on_gpu: bool
    words: str


def lack_of_memory(error: BaseException) -> Lack | None:
    """Return what an error says of too little memory; None: it is another error.

    torch has an error of its own for its GPUs, which is known by name because torch may not be
    loaded. CUDA itself and faiss raise a RuntimeError.
    """
    details = (str(error).splitlines() or ["no details"])[0]
    by_name = type(error).__name__ == "OutOfMemoryError"
    if by_name or (isinstance(error, RuntimeError) and "out of memory" in details):
        return Lack(True, f"the memory of the GPU is too small ({details}).")
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and _UNMAPPED in details):
        return Lack(False, f"memory is too small ({details}).")
    return None


_PERMISSIONS = "Fix the permissions, or name another place."
_SPACE = "Free space, or name another place."
_GONE = "If it was moved or removed meanwhile, put it back, then run the same command again."
_DISK = "Look after the disk or the network drive, then run the same command again."
_LOOP = "Symlink loop from "
_ENDS = re.compile(r'[\r\n",]')  # of a name in a table
# What the system refuses -> what a user can do about it.
_REMEDIES = {
    errno.ENOENT: _GONE,
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.EROFS: "Name another place.",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "Free space, or name another place, or raise the limit of `ulimit -f`.",
    errno.EMFILE: "Raise the limit with `ulimit -n 1024`, then run the same command again.",
    errno.ENFILE: "End other programs, then run the same command again.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "Mend the links.",
    errno.ENOTDIR: "Name a path below a folder.",
    errno.EISDIR: "Name a file.",
    errno.ENXIO: "Name a file.",
    errno.EIO: _DISK,
    errno.ESTALE: _DISK,
    errno.ENOTCONN: _DISK,
    errno.ETIMEDOUT: _DISK,
    errno.EHOSTDOWN: _DISK,
}


def is_utf8(name: object) -> bool:
    """Tell whether a name can be stored as text: other bytes are surrogates in Python."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        return False
    return True


def obstacle(error: BaseException) -> str:
    """Return what the surroundings refuse, and what helps, in words; "": it is another error.

    Commands check what they need where they can name the remedy best. This is for all the rest.
    """
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        before, after = error.object[: error.start], error.object[error.start :]
        name = _ENDS.split(before)[-1] + _ENDS.split(after)[0]  # of all that was to be written
        return f"'{name}' is no UTF-8, which a name that is to be stored must be. Rename it."
    if isinstance(error, RuntimeError) and str(error).startswith(_LOOP):  # of pathlib
        return f"{str(error).removeprefix(_LOOP)} is a link that leads to itself. Mend the links."
    if not isinstance(error, OSError) or error.errno not in _REMEDIES:
        return ""
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{where}{os.strerror(error.errno)}. {remedy(error)}"


@contextmanager
def in_words() -> Iterator[None]:
    """Let what the surroundings refuse, memory too, end as a `UserError`: for who goes on after it.

    Raises:
        UserError: instead of the error, or as it was raised.
    """
    try:
        yield
    except Exception as error:
        lack = lack_of_memory(error)
        words = lack.words if lack else obstacle(error)
        if isinstance(error, UserError) or not words:
            raise
        raise UserError(words) from error


def or_fault(words: Callable[_P, _R]) -> Callable[_P, _R | str]:
    """Let what tells of a user's file return what is wrong with it: an overview goes on."""

    @wraps(words)
    def told(*args: _P.args, **kwargs: _P.kwargs) -> _R | str:
        try:
            return words(*args, **kwargs)
        except UserError as error:
            return str(error).removesuffix(".")

    return told


def remedy(error: OSError) -> str:
    """Return what a user can do about what the system refuses, as a sentence."""
    return _REMEDIES.get(error.errno or 0, _PERMISSIONS)


def is_full(error: OSError) -> bool:
    """Tell whether a write failed for lack of space, or HDF5 does not say why."""
    return not error.errno or _REMEDIES.get(error.errno) == _SPACE


def many(count: int, one: str, more: str = "") -> str:
    """Return a count with its noun.

    Args:
        count: at least 0.
        one: the noun, or a noun and what follows it.
        more: its plural; "": with an `s`.

    Example:
        >>> many(1, "image"), many(2000, "image"), many(0, "identity", "identities")
        ('1 image', '2,000 images', '0 identities')
    """
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def nearest_words(word: str, known: Iterable[str], count: int = 2) -> list[str]:
    """Return the known words that are like a word, the nearest first."""
    return get_close_matches(word, list(known), n=count)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)`, or nothing where no known word is near."""
    near = nearest_words(word, known)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""


def why_no_file(path: Path) -> str:
    """Return why a path is no file that can be read: the beginning of a sentence.

    Example:
        >>> why_no_file(Path("nowhere/a.h5"))
        'nowhere/a.h5 does not exist'
    """
    if path.is_dir():
        return f"{path} is a folder, not a file"
    return f"{path} is no regular file" if path.exists() else _why_missing(path)


def why_no_folder(path: Path) -> str:
    """Return why a path is no folder: the beginning of a sentence."""
    return f"{path} is not a folder" if path.exists() else _why_missing(path)


def broken_link(path: Path) -> str:
    """Return that a path is, or lies below, a link to nothing; "": it does not."""
    for part in (path, *path.parents):
        if part.is_symlink() and not part.exists():
            return f"{part} is a link to {part.readlink()}, which does not exist"
    return ""


def _why_missing(path: Path) -> str:
    link = broken_link(path)
    return link if link.startswith(f"{path} ") else f"{path} does not exist{link and f': {link}'}"


def producing_command(path: Path, command: str) -> str:
    """Return the command that makes a file.

    Args:
        path: the file.
        command: that makes such files by hand, or before the first epoch.
    """
    if path.parent.name == FINAL and path.name in _EXPORTED:
        return "run CONFIG"
    weights = path.suffix == ".safetensors"
    return "train" if weights and path.parent.parent.name == EPOCHS else command


def how_to_fix(path: Path, command: str) -> str:
    """Return a sentence for the end of a message; arguments as `producing_command`."""
    return f"Make it again with `mprd {producing_command(path, command)}`."
