"""What follows from decisions, what contradicts what, and what they do to clusters at once."""

import numpy as np
import pytest

from mprd.decisions.entry import Decision, Kind
from mprd.decisions.facts import clashes, facts_of
from mprd.decisions.partition import edited
from mprd.decisions.through import through


def log(*said) -> list[Decision]:
    """Decisions as (kind, images, others, value), images as letters."""
    found = []
    for n, (kind, images, *more) in enumerate(said, 1):
        others, value = (*more, "", "")[:2]
        found.append(Decision(Kind(kind), tuple(images), tuple(others), value, entry=n))
    return found


def groups(*said) -> set[str]:
    return {"".join(sorted(group)) for group in facts_of(log(*said)).groups()}


def apart(*said) -> set[str]:
    return {one.first + one.second for one in facts_of(log(*said)).apart}


def test_links_are_closed():
    assert groups(("same", "a", "b"), ("same", "b", "c"), ("merge", "de", "f")) == {"abc", "def"}
    assert apart(("same", "a", "b"), ("different", "a", "c"), ("different", "b", "c")) == {"ac"}


def test_who_is_taken_out_of_a_cluster_leaves_it():
    merged = ("merge", "ab", "cd")
    assert groups(merged, ("not", "b", "acd")) == {"acd"}
    assert groups(merged, ("split", "bc", "ad")) == {"ad", "bc"}
    assert groups(merged, ("move", "b", "x")) == {"acd", "bx"}
    assert groups(("confirm", "abc"), ("not", "c", "ab")) == {"ab"}
    assert facts_of(log(("confirm", "abc"), ("not", "c", "ab"))).confirmed == {"a", "b"}
    assert groups(merged, ("move", "b", "a")) == {"abcd"}, "it is there"


def test_a_later_yes_to_a_pair_ends_a_no_to_a_cluster():
    # Two strangers of one identity, pulled out one after the other, and then joined.
    said = [("not", "x", "aby"), ("not", "y", "ab"), ("same", "x", "y")]
    facts = facts_of(log(*said))
    assert facts.contradictions == []
    assert groups(*said) == {"xy"}
    pairs = {frozenset((one.first, one.second)) for one in facts.apart}
    assert pairs == {frozenset(pair) for pair in ("xa", "xb")}


def test_judged_pairs_are_contradicted_with_both_decisions():
    said = log(("same", "a", "b"), ("merge", "b", "cd"))
    (found,) = clashes(said, Decision(Kind.DIFFERENT, ("a",), ("d",)))
    assert found.chain == ("a", "b", "d")
    assert [one.entry for one in found.entries] == [1, 2, 0]
    words = found.words()
    assert "entry 1: a is the same as b" in words
    assert "entry 2: merge b with c, d" in words
    assert "the new decision: a is not the same as d" in words
    assert "a = b = d" in words
    assert clashes(said, Decision(Kind.DIFFERENT, ("a",), ("e",))) == []
    (found,) = clashes(log(("different", "a", "b")), Decision(Kind.MERGE, ("a", "c"), ("b",)))
    assert [one.entry for one in found.entries] == [1, 0]
    (found,) = clashes(log(("same", "a", "b")), Decision(Kind.NOT, ("a",), ("b", "c")))
    assert found.apart.kind is Kind.NOT
    (found,) = clashes(log(("same", "a", "b")), Decision(Kind.MOVE, ("a",), ("c",)))
    assert [one.entry for one in found.entries] == [1, 0]
    assert clashes(log(("same", "a", "b")), Decision(Kind.MOVE, ("a", "b"), ("c",))) == []


def test_names_follow_the_images():
    said = log(("rename", "ab", "", "Anna"), ("rename", "c", "", "Bob"), ("move", "b", "c"))
    assert facts_of(said).names == {"a": "Anna", "b": "Bob", "c": "Bob"}
    assert facts_of(log(("rename", "ab", "", "Anna"), ("rename", "a", ""))).names == {"b": "Anna"}
    said = log(("rename", "ab", "", "Anna"), ("not", "b", "a"))
    assert facts_of(said).names == {"a": "Anna"}
    said = log(("rename", "a", "", "Anna"), ("rename", "b", "", "Bob"), ("split", "b", "a"))
    assert facts_of(said).names == {"a": "Anna", "b": "Bob"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("merge", "a", "d"), [0, 0, 0, 0, 0, -1]),
        (("merge", "d", "a"), [1, 1, 1, 1, 1, -1]),
        (("same", "f", "a"), [0, 0, 0, 1, 1, 0]),
        (("split", "ab", "c"), [2, 2, 0, 1, 1, -1]),
        (("not", "ab", "c"), [2, 3, 0, 1, 1, -1]),
        (("different", "a", "d"), [0, 0, 0, 1, 1, -1]),
        (("move", "a", "e"), [1, 0, 0, 1, 1, -1]),
        (("move", "a", "f"), [2, 0, 0, 1, 1, 2]),
        (("confirm", "abc"), [0, 0, 0, 1, 1, -1]),
        (("merge", "a", "?"), [0, 0, 0, 1, 1, -1]),
        (("new", "f"), [0, 0, 0, 1, 1, 2]),
        (("new", "af", "de"), [2, 0, 0, 1, 1, 2]),
        (("new", "f", "?"), [0, 0, 0, 1, 1, 2]),
    ],
)
def test_edits_show_at_once(said, expected):
    rows = {path: n for n, path in enumerate("abcdef")}
    found = edited(np.array([0, 0, 0, 1, 1, -1]), rows, log(said))
    assert found.tolist() == expected
    assert edited(found, rows, log(said)).tolist() == expected, "what holds changes nothing"


def test_somebody_new_belongs_to_nobody():
    said = log(("rename", "abc", "", "Anna"), ("merge", "abc", "d"), ("new", "bf", "acd"))
    found = facts_of(said)
    assert sorted(map(sorted, found.groups())) == [["a", "c", "d"], ["b", "f"]]
    assert found.names == {"a": "Anna", "c": "Anna"}
    assert found.confirmed == {"b", "f"}
    (apart,) = found.apart
    assert {apart.first, apart.second} & set("bf")
    assert found.contradictions == []
    assert facts_of(log(("new", "f"), ("new", "b"))).apart == [], "nobody was named"
    words = said[2].words()
    assert words == "entry 3: b, f is a new individual, not a, c and 1 more"
    assert log(("new", "f"))[0].words() == "entry 1: f is a new individual, not anyone known"
    # Another one takes an image of it back; a number that was never given is taken.
    said = log(("new", "bf", "ac"), ("move", "f", "d"))
    rows = {path: n for n, path in enumerate("abcdef")}
    found = edited(np.array([0, 0, 0, 1, 1, -1]), rows, said, following=9)
    assert found.tolist() == [0, 9, 0, 1, 1, 1]
    assert edited(found, rows, said, following=10).tolist() == found.tolist()
    assert facts_of(log(("same", "a", "b"), ("new", "b", "ac"))).contradictions


def test_edits_of_edits_change_nothing():
    rows = {path: n for n, path in enumerate("abcdef")}
    said = log(
        ("merge", "abc", "de"), ("split", "b", "acde"), ("not", "a", "cde"), ("move", "f", "a")
    )
    start = np.array([0, 0, 0, 1, 1, -1])
    found = edited(start, rows, said)
    assert found.tolist() == [3, 2, 0, 0, 0, 3]
    assert edited(found, rows, said).tolist() == found.tolist()


def test_other_images_say_something_of_ours():
    ours = {"a": 0, "b": 0, "c": 1, "d": -1}
    same = through(log(("same", "a", "x"), ("same", "x", "c"), ("not", "x", "y")), ours)
    assert [(one.kind, one.images) for one in same] == [("confirm", ("a", "c"))]
    # d belongs to somebody that only others show; a leaves the images of its cluster for them.
    found = through(log(("move", "d", "xy"), ("move", "a", "xy")), ours)
    assert {(one.kind, frozenset(one.images), one.others) for one in found} == {
        ("confirm", frozenset("ad"), ()),
        ("not", frozenset("a"), ("b",)),
    }
    found = through(log(("same", "a", "x"), ("different", "x", "c")), ours)
    assert [(one.kind, one.images, one.others) for one in found[1:]] == [
        ("different", ("a",), ("c",))
    ]
    assert through(log(("move", "x", "ab"), ("different", "a", "c")), {"c": 1}) == []
