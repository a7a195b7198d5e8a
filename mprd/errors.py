"""The one exception that a user is meant to read, and a helper to word it."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the input that the user can mend.

    The message is one or two sentences: what is wrong, where, and how to mend it.
    The command line prints it without a traceback and exits with code 2.
    """


def nearest_words(word: str, known: Iterable[str], count: int = 2) -> list[str]:
    """Return the known words that are like a word, the nearest first."""
    return get_close_matches(word, list(known), n=count)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)`, or nothing where no known word is near."""
    near = nearest_words(word, known)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
