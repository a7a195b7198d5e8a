"""Counts in messages: `1 image`, not `1 images`. They are made by `many`."""

import ast
import re
from pathlib import Path

from mprd.errors import many

MPRD = Path(__file__).parents[1] / "mprd"
NOUNS = (
    "answers clusters cores columns decisions dimensions entries epochs files folders groups "
    "identities images lines outliers pairs paths people processes queries questions rows runs "
    "steps tensors times tracks values weights"
)
_PLURAL = re.compile(rf" (?:[a-z]+ )?({NOUNS.replace(' ', '|')})\b(?! (an?|the) )")
_OF_ALL = re.compile(r"(of|than|with|within|below|first|its|all|at) (the |its |all )?$", re.I)
FINE = {
    # A verb that follows a name.
    "artifacts/store.py: where has rows",
    "data/read_ahead.py: path has images",
    "decisions/answers.py: path has lines",
    "decisions/entry.py: kind needs images",
    "exchange/given.py: table contradicts decisions",
    "inference/embed.py: store.path holds images",
    "report/inspect/clustering.py: a.source clusters",
    "report/page/settings.py: split images",
    "stages/pretrain.py: source.name pairs",
    "cli/use.py: many(found.pairs, 'pair') of images",
    # A place.
    "stages/add.py: self.known in clusters",
    # The plural of a count.
    "stages/index.py: one images",
    # Two or more.
    "clustering/audit_units.py: fewest pairs",
    "config/reference.py: len(schema['prefixItems']) values",
    "config/sections.py: self.processes processes",
    "data/datasets/base.py: count folders",
    "data/datasets/manifest.py: max(widths) columns",
    "data/synthetic/walks.py: count images",
    "inference/batches.py: tried images",
    "report/inspect/lookup.py: len(matching) training images",
    "report/inspect/transition_facts.py: way.pairs probable pairs",
    "report/page/embedding_map.py: len(chosen) images",
    "report/page/found.py: _SHOWN largest clusters",
    "report/page/network.py: w.pairs pairs",
    "stages/index.py: most times",
    "starter/camera_shapes.py: len(wider) folders",
    "starter/time_doubts.py: len(keys) images",
    "starter/time_doubts.py: many(len(twice), 'path holds', 'paths hold') two times",
    "starter/training.py: epochs epochs",
    "training/sharing.py: group.size() processes",
    # Shapes, for who calls the library.
    "graph/reciprocal.py: count rows",
    "graph/reciprocal.py: index.shape[1] columns",
    "retrieval/evaluation.py: gallery gallery images",
    "retrieval/evaluation.py: queries queries",
}


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
