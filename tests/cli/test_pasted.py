"""Every command that mprd suggests can be pasted into a shell, whatever the folders are called."""

import ast
import re
from pathlib import Path

import pytest

import mprd
from mprd.errors import pasted

_COMMANDS = "add answer apply assign audit browse count decisions export-to import inspect new onnx"
_COMMANDS += " recluster report run search status threshold"
_BEGUN = re.compile(rf"\bmprd ({'|'.join(_COMMANDS.split())})( [^`,;:()]*)? $")
_PLAIN = ("number", "START")  # a number, and a word of ours
SOURCES = sorted(Path(mprd.__file__).parent.rglob("*.py"))


def unquoted(source: str) -> list[str]:
    """Return the values that stand in a command of an f-string as they are."""
    found = []
    for text in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.JoinedStr)):
        said = ""
        for part in text.values:
            if isinstance(part, ast.Constant):
                said += str(part.value)
                continue
            value = ast.unparse(part.value)
            made = rf"\b{re.escape(value)}\b.* = .*pasted\("  # as `model, gallery = (pasted(`
            quoted = "pasted(" in value or value in _PLAIN or re.search(made, source)
            if _BEGUN.search(said) and not quoted:
                found.append(value)
            said += "x"
    return found


def test_the_search_finds_them():
    assert unquoted('f"see: mprd browse {run}"') == unquoted('f"mprd add {run}" " and {1}"')
    assert unquoted('f"see: mprd browse {run}, or mprd " f"answer --run {run}"')
    assert not unquoted('f"see: mprd browse {pasted(run)}, now {run}"')


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_commands_are_quoted(path):
    assert unquoted(path.read_text(encoding="utf-8")) == []


def test_a_folder_with_a_blank():
    assert pasted(Path("my crops/a")) == "'my crops/a'"
    assert pasted("crops") == "crops"
