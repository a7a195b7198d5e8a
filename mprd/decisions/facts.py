"""What follows from decisions: which images are one identity, which are not, and their names.

A pair that a person judged (SAME, DIFFERENT) holds until it is taken back. What is said of a whole
cluster (MERGE, CONFIRM, SPLIT, MOVE, NOT, NEW) holds for each of its images until something later
is said of that image: who pulls a stranger out of a merged cluster does not contradict the merge.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mprd.decisions.entry import Decision, Kind
from mprd.decisions.replay import Parting, Replay, Roots


class Statement(NamedTuple):
    """Two images that are, or are not, one identity.

    Attributes:
        first: path.
        second: path.
        decision: that says so.
    """

    first: str
    second: str
    decision: Decision


@dataclass(frozen=True)
class Contradiction:
    """Decisions that cannot hold together.

    Attributes:
        apart: says that two images are not one identity.
        together: say that they are, each image of `chain` with the next.
        chain: paths, from one of the two images to the other.
    """

    apart: Decision
    together: tuple[Decision, ...]
    chain: tuple[str, ...]

    @property
    def entries(self) -> tuple[Decision, ...]:
        """The decisions, each once, in the order of the log: one of them is to be taken back."""
        found = dict.fromkeys((self.apart, *self.together))
        return tuple(sorted(found, key=lambda one: one.entry or float("inf")))

    def words(self) -> str:
        """Return the decisions as sentences."""
        said = "; ".join(one.words() for one in self.entries)
        between = f" ({' = '.join(self.chain)})" if len(self.chain) > 2 else ""
        return (
            f"{self.chain[0]} and {self.chain[-1]} are said to be two identities, and "
            f"one{between}: {said}. Take one of these back."
        )


@dataclass(frozen=True)
class Facts:
    """What decisions say of images.

    Attributes:
        links: pairs that are one identity; with what follows from them they are all such pairs.
        apart: pairs that are not, one for each two groups of linked images.
        names: path -> the name of its identity.
        confirmed: paths of the images whose cluster was confirmed, or that are somebody new, and
            that were not taken out.
        contradictions: decisions that cannot hold together; none: all hold.
    """

    links: list[Statement]
    apart: list[Statement]
    names: dict[str, str]
    confirmed: set[str]
    contradictions: list[Contradiction]

    def groups(self) -> list[list[str]]:
        """Return the images that are one identity, each group of two or more."""
        roots, found = Roots(), dict[str, list[str]]()
        for link in self.links:
            roots.join(link.first, link.second)
        for path in roots.parent:
            found.setdefault(roots.of(path), []).append(path)
        return [paths for paths in found.values() if len(paths) > 1]


def facts_of(decisions: Sequence[Decision]) -> Facts:
    """Return what follows from decisions.

    Args:
        decisions: that hold (`in_effect`), in their order.

    Example:
        >>> one = Decision(Kind.MERGE, ("a", "b"), ("c",), entry=1)
        >>> two = Decision(Kind.NOT, ("b",), ("a", "c"), entry=2)
        >>> facts_of([one, two]).groups()
        [['a', 'c']]
    """
    replay = Replay()
    for one in decisions:
        replay.take(one)
    links = [Statement(one.images[0], one.others[0], one) for one in replay.pairs]
    for group in replay.groups:
        first, *rest = group.members or [""]
        links += [Statement(first, other, group.decision) for other in rest]
    links.sort(key=lambda link: link.decision.entry or float("inf"))
    roots = Roots()
    for link in links:
        roots.join(link.first, link.second)
    apart, wrong = _apart(replay.partings, roots, links)
    confirmed = {
        path
        for group in replay.groups
        if group.decision.kind in (Kind.CONFIRM, Kind.NEW)
        for path in group.members
    }
    names = {path: name for path, name in replay.names.items() if name}
    return Facts(links, apart, names, confirmed, wrong)


def clashes(holding: Sequence[Decision], new: Decision) -> list[Contradiction]:
    """Return the contradictions that a new decision would bring; none: it can be taken.

    Args:
        holding: the decisions so far (`in_effect`).
        new: the decision, not yet in the log; no UNDO.
    """
    known = {one.chain for one in facts_of(holding).contradictions}
    found = facts_of([*holding, new]).contradictions
    return [one for one in found if one.chain not in known] + _moved_from(holding, new)


def _moved_from(holding: Sequence[Decision], new: Decision) -> list[Contradiction]:
    """Return the judged pairs that tie moved images to others than those they move to."""
    if new.kind is not Kind.MOVE:
        return []
    roots = Roots()
    before = facts_of(holding)
    for link in before.links:
        roots.join(link.first, link.second)
    there, moved = {roots.of(path) for path in new.others}, set(new.images)
    return [
        Contradiction(new, (link.decision,), (link.first, link.second))
        for link in before.links
        if link.decision.kind is Kind.SAME
        and (link.first in moved) != (link.second in moved)
        and roots.of(link.first) not in there
    ]


def _apart(
    partings: Iterable[Parting], roots: Roots, links: list[Statement]
) -> tuple[list[Statement], list[Contradiction]]:
    """Return a pair for each two groups that are not one identity, and what contradicts that."""
    found: dict[frozenset[str], Statement] = {}
    wrong: list[Contradiction] = []
    for parting in partings:
        for first in parting.images:
            for second in parting.others:
                if any({first, second} <= joined for joined in parting.joined):
                    continue
                ends = frozenset((roots.of(first), roots.of(second)))
                if len(ends) == 1:
                    wrong.append(_contradiction(parting.decision, links, first, second))
                    break
                found.setdefault(ends, Statement(first, second, parting.decision))
            else:
                continue
            break  # one contradiction of a decision says enough
    return list(found.values()), wrong


def _contradiction(
    decision: Decision, links: list[Statement], first: str, second: str
) -> Contradiction:
    """Return the shortest chain of links between two images that are said to be different."""
    near: dict[str, list[tuple[str, Decision]]] = {}
    for link in links:
        near.setdefault(link.first, []).append((link.second, link.decision))
        near.setdefault(link.second, []).append((link.first, link.decision))
    came: dict[str, tuple[str, Decision]] = {first: (first, decision)}
    waiting = [first]
    for path in waiting:  # grows
        for other, why in near.get(path, []):
            if other not in came:
                came[other] = path, why
                waiting.append(other)
    chain: list[str] = [second]
    said: list[Decision] = []
    while chain[-1] != first:
        before, one = came[chain[-1]]
        chain.append(before)
        said.append(one)
    return Contradiction(decision, tuple(said[::-1]), tuple(chain[::-1]))
