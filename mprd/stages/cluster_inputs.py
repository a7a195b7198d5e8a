"""What people call the clusters of a run: numbers of an earlier run, or of decisions, and names."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mprd.clustering.decided import names_of
from mprd.clustering.numbering import keep_numbers, numbers_of
from mprd.data.added import added_paths, next_number
from mprd.decisions.decided import Decided
from mprd.decisions.reading import places
from mprd.decisions.seen import numbers_if_sound, read_numbers
from mprd.errors import say
from mprd.pipeline.layout import FinalLayout

if TYPE_CHECKING:  # slow to load, and most runs have no earlier numbers
    import pandas as pd


def known_as(
    labels: np.ndarray,
    base: np.ndarray,
    decided: Decided | None,
    earlier: "EarlierNumbers | None",
    paths: np.ndarray | None,
    end: FinalLayout,
) -> dict[str, np.ndarray]:
    """Return `number` and `name` of each cluster, int32 (K,) and object (K,), as far as known.

    With decisions also `undecided`, the numbers of all images without them, int32 (N,).

    Args:
        labels: int (N,), -1 outlier.
        base: int (N,), without decisions.
        decided: decisions; None: there are none.
        earlier: numbers that the clusters had before, or None.
        paths: of the images; None: there is neither.
        end: its `clusters.csv`, if it is there, has the numbers that a person has seen.
    """
    following = next_number(end)
    if decided is None or paths is None:
        number = _numbers(labels, earlier, paths, following)
        if earlier is not None:
            earlier.tell(number, numbers_if_sound(end.table) if earlier.is_hidden else None)
        return {"number": number}
    first = numbers_of(base, _numbers(base, earlier, paths, following))
    shown = numbers_if_sound(end.table)
    shown = None if shown is None else _with_added(shown, end, paths)
    last = dict(zip(map(str, paths), first.tolist(), strict=True))
    if shown is not None:
        last = dict(zip(shown.index, shown.tolist(), strict=True))
    number = decided.numbers(labels, first, last, following)
    if earlier is not None:
        earlier.tell(number, shown)
    found = {"number": number, "undecided": first.astype(np.int32)}
    names = names_of(labels, decided.names)
    return found | ({"name": names} if (names != "").any() else {})


@dataclass(frozen=True)
class EarlierNumbers:
    """The numbers that clusters had before.

    Attributes:
        table: the `clusters.csv` that gives them.
        known: number of the cluster of each image, by path.
        end: layout of the end of the run.
    """

    table: Path
    known: "pd.Series"
    end: FinalLayout

    def of(self, labels: np.ndarray, paths: np.ndarray, following: int) -> np.ndarray:
        """Return what people call each cluster.

        Args:
            labels: int32 (N,), -1 outlier.
            paths: of the images.
            following: least number of a new cluster.

        Returns:
            int32 (K,).
        """
        known = _with_added(self.known, self.end, paths)
        before = known.reindex(paths, fill_value=-1).to_numpy()
        if not self.known.index.isin(paths).any():
            say(f"Warning: {self.table} names none of these images; all numbers are new.")
        return keep_numbers(labels, before, max(following, int(self.known.max()) + 1))

    @property
    def is_hidden(self) -> bool:
        """Whether the table is that without decisions, at which nobody looks."""
        return self.table == self.end.undecided

    def tell(self, numbers: np.ndarray, shown: "pd.Series | None") -> None:
        """Print how many clusters keep their numbers, by the table that people look at.

        Args:
            numbers: int32 (K,), of the clusters.
            shown: numbers in the `clusters.csv` that is replaced; None: it is not there.
        """
        known, table = self.known, self.table
        if self.is_hidden:
            if shown is None:
                return
            known, table = shown, self.end.table
        going_on = int(np.isin(numbers, known).sum())
        say(f"{going_on} of {len(numbers)} clusters keep their numbers of {table}")


def earlier_numbers(named: Path | None, end: FinalLayout) -> EarlierNumbers | None:
    """Return the numbers that clusters had before, without the decisions of people.

    Args:
        named: a `clusters.csv` that the config names; None: they had those of the replaced one.
        end: what the run will replace; it need not be there.

    Returns:
        None: they had none.

    Raises:
        UserError: the named file is no table of clusters.
    """
    if named is not None:
        return EarlierNumbers(named, read_numbers(named), end)
    replaced = end.undecided if end.undecided.is_file() else end.table
    known = numbers_if_sound(replaced)
    return None if known is None else EarlierNumbers(replaced, known, end)


def _with_added(known: "pd.Series", end: FinalLayout, paths: np.ndarray) -> "pd.Series":
    """Return numbers by path, those of added images that came into the run by their paths there."""
    own, there = set(map(str, paths)), set(known.index)
    gone = [path for path in added_paths(end) if path in there and path not in own]
    place = places(gone, sorted(own))
    return known.rename(index={old: new for old, new in place.items() if new not in there})


def _numbers(
    labels: np.ndarray,
    earlier: EarlierNumbers | None,
    paths: np.ndarray | None,
    following: int,
) -> np.ndarray:
    """Return what people call each cluster, int32 (K,): as before, else its label."""
    if earlier is None or paths is None:
        return np.arange(int(labels.max(initial=-1)) + 1, dtype=np.int32)
    return earlier.of(labels, paths, following)
