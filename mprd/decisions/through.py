"""What decisions on other images say of some images: whoever is the same as one is the same."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mprd.decisions.entry import Decision, Kind
from mprd.decisions.facts import Statement, facts_of
from mprd.decisions.replay import standing


def through(decisions: Sequence[Decision], clusters: Mapping[str, int]) -> list[Decision]:
    """Return what follows for some images from decisions on them and others.

    Those that are one identity with another image are one; two that other images part are parted.
    An image that was moved to others only leaves the images of its cluster.

    Args:
        decisions: that hold, in their order.
        clusters: path of each of the images -> its cluster without decisions, -1 outlier.

    Example:
        >>> one = Decision(Kind.SAME, ("a",), ("new",))
        >>> two = Decision(Kind.SAME, ("new",), ("b",))
        >>> [found.images for found in through([one, two], {"a": 0, "b": 1})]
        [('a', 'b')]
    """
    facts, known = facts_of(decisions), set(clusters)
    found, stands_for = [], {path: path for path in known}
    mixed: dict[str, frozenset[str]] = {}
    for group in facts.groups():
        inside = tuple(path for path in group if path in known)
        if inside and len(inside) < len(group):
            found.append(Decision(Kind.CONFIRM, inside))
            stands_for |= dict.fromkeys(set(group) - known, inside[0])
            mixed |= dict.fromkeys(inside, frozenset(inside))
    left = _left(decisions, clusters, mixed)
    return [*found, *left, *_apart(facts.apart, known, stands_for)]


def _left(
    decisions: Sequence[Decision], clusters: Mapping[str, int], mixed: Mapping[str, frozenset[str]]
) -> Iterator[Decision]:
    """Yield that images which were moved to others only are not those of their cluster."""
    members: dict[int, list[str]] = {}
    for path, number in clusters.items():
        members.setdefault(number, []).append(path)
    for one in standing(decisions):
        if one.kind is not Kind.MOVE or not clusters.keys().isdisjoint(one.others):
            continue
        for path in one.images:
            own = clusters.get(path, -1)
            rest = [n for n in members.get(own, []) if n not in mixed.get(path, frozenset())]
            if own >= 0 and rest:
                yield Decision(Kind.NOT, (path,), tuple(rest))


def _apart(
    apart: Iterable[Statement], known: set[str], stands_for: Mapping[str, str]
) -> Iterator[Decision]:
    for one in apart:
        if {one.first, one.second} <= known:
            continue  # it is said of them
        ends = stands_for.get(one.first), stands_for.get(one.second)
        if ends[0] is not None and ends[1] is not None:
            yield Decision(Kind.DIFFERENT, (ends[0],), (ends[1],))
