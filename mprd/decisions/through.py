"""What decisions on other images say of some images: whoever is the same as one is the same."""

from collections.abc import Iterable, Iterator, Sequence

from mprd.decisions.entry import Decision, Kind
from mprd.decisions.facts import Statement, facts_of


def through(decisions: Sequence[Decision], images: Iterable[str]) -> list[Decision]:
    """Return what follows for some images from decisions on them and others.

    Args:
        decisions: that hold, in their order.
        images: paths.

    Returns:
        A CONFIRM for those that are one identity with another image, a DIFFERENT for each two that
        other images say are not.

    Example:
        >>> one = Decision(Kind.SAME, ("a",), ("new",))
        >>> two = Decision(Kind.SAME, ("new",), ("b",))
        >>> [found.images for found in through([one, two], ["a", "b"])]
        [('a', 'b')]
    """
    known = set(images)
    facts = facts_of(decisions)
    found, stands_for = [], {path: path for path in known}
    for group in facts.groups():
        inside = tuple(path for path in group if path in known)
        if inside and len(inside) < len(group):
            found.append(Decision(Kind.CONFIRM, inside))
            stands_for |= dict.fromkeys(set(group) - known, inside[0])
    return [*found, *_apart(facts.apart, known, stands_for)]


def _apart(
    apart: Iterable[Statement], known: set[str], stands_for: dict[str, str]
) -> Iterator[Decision]:
    for one in apart:
        if {one.first, one.second} <= known:
            continue  # it is said of them
        ends = stands_for.get(one.first), stands_for.get(one.second)
        if ends[0] is not None and ends[1] is not None:
            yield Decision(Kind.DIFFERENT, (ends[0],), (ends[1],))
