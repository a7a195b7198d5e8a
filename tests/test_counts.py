"""Counts in messages: `1 image`, not `1 images`. They are made by `many`."""

import ast
import re
from pathlib import Path

from mprd.errors import many

MPRD = Path(__file__).parents[1] / "mprd"
NOUNS = [
    "answers",
    "clusters",
    "cores",
    "columns",
    "decisions",
    "dimensions",
    "entries",
    "epochs",
    "files",
    "folders",
    "groups",
    "identities",
    "images",
    "lines",
    "outliers",
    "pairs",
    "paths",
    "people",
    "processes",
    "queries",
    "questions",
    "rows",
    "runs",
    "steps",
    "tensors",
    "times",
    "tracks",
    "values",
    "weights",
]
_PLURAL = re.compile(rf" (?:[a-z]+ )?({'|'.join(NOUNS)})\b(?! (an?|the) )")
_OF_ALL = re.compile(r"(of|than|with|within|below|first|its|all|at) (the |its |all )?$", re.I)
# Always two or more, or a length that is said to a programmer.
FINE = {}


def test_many():
    assert [many(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert many(12345, "identity", "identities") == "12,345 identities"
    assert many(1, "identity", "identities") == "1 identity"


def plurals(path):
    """The f-strings of a module in which a plural follows a count, as they are written."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.JoinedStr):
            continue
        parts = ["", *(p.value if isinstance(p, ast.Constant) else p for p in node.values)]
        for before, count, after in zip(parts, parts[1:], parts[2:], strict=False):
            if isinstance(count, ast.FormattedValue) and isinstance(after, str):
                found = _PLURAL.match(after)
                whole = isinstance(before, str) and _OF_ALL.search(before)
                if found and not whole:
                    yield f"{ast.unparse(count.value)}{found[0]}"


def test_no_message_has_one_images():
    found = {
        f"{path.relative_to(MPRD)}: {words}"
        for path in MPRD.rglob("*.py")
        for words in plurals(path)
    }
    assert found == FINE
