"""What clusters are made from: distances, a person's answers, the numbers of an earlier run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.constraints import Constraints, ContradictionError
from mprd.clustering.numbering import keep_numbers
from mprd.clustering.tracks import TrackGroups
from mprd.config import TimeConfig
from mprd.errors import UserError, say
from mprd.evidence.fusion import corrected

if TYPE_CHECKING:  # slow to load, and most runs have no earlier numbers
    import pandas as pd

_LARGEST = 10**9  # number of a cluster, so that new ones behind it fit into the file


def compared_distances(
    jaccard: csr_array, judged: csr_array | None, evidence: np.ndarray | None, settings: TimeConfig
) -> tuple[csr_array, csr_array]:
    """Return the distances that are clustered, and those that eps is compared with.

    Args:
        jaccard: float32 (N, N), as `graph_distance`.
        judged: float32 (N, N), as `judged_distance`; None: Jaccard distances are clustered.
        evidence: float32 (nnz,), what the times of each stored pair say; None: nothing.
        settings: the `time` section.

    Returns:
        float32 (N, N), float32 (N, N).
    """
    near_by, distance = jaccard, judged
    if evidence is not None:
        near_by = corrected(jaccard, evidence, settings)
        distance = None if judged is None else corrected(judged, evidence, settings)
    return near_by if distance is None else distance, near_by


def read_constraints(path: Path, images: np.ndarray, tracks: TrackGroups) -> Constraints:
    """Read answers on training images and draw their consequences for tracks.

    Args:
        path: table of answers.
        images: paths of the training images.
        tracks: of these images; an answer on an image holds for its track.

    Raises:
        UserError: an answer cannot be read, or some exclude each other or a track; names them.
    """
    from mprd.pairs.answers import read_answers

    pairs, same = read_answers(path, {str(image): n for n, image in enumerate(images)})
    ends = tracks.group[pairs]
    broken = np.flatnonzero(~same & (ends[:, 0] == ends[:, 1]) & (pairs[:, 0] != pairs[:, 1]))
    if len(broken):
        one, other = images[pairs[broken[0]]]
        raise UserError(
            f"{path} says that {one} and {other} are different, but they are of one track "
            "(data.track). Correct the answer, or the track."
        )
    try:
        return Constraints.of_answers(len(tracks.first), ends, same)
    except ContradictionError as error:
        names = [str(images[tracks.first[row]]) for row in error.chain]
        raise UserError(
            f"{path} contradicts itself: {names[0]} and {names[-1]} are said to be different, but "
            f"the same follows from {' = '.join(names)}. Correct one of these answers."
        ) from None


@dataclass(frozen=True)
class EarlierNumbers:
    """The numbers that clusters had before.

    Attributes:
        table: the `clusters.csv` that gives them.
        known: number of the cluster of each image, by path.
    """

    table: Path
    known: "pd.Series"

    def of(self, labels: np.ndarray, paths: np.ndarray) -> np.ndarray:
        """Return what people call each cluster.

        Args:
            labels: int32 (N,), -1 outlier.
            paths: of the images.

        Returns:
            int32 (K,).
        """
        before = self.known.reindex(paths, fill_value=-1).to_numpy()
        if not self.known.index.isin(paths).any():
            say(f"Warning: {self.table} names none of these images; all numbers are new.")
        largest = int(self.known.max())
        numbers = keep_numbers(labels, before, largest + 1)
        going_on = int((numbers <= largest).sum())
        say(f"{going_on} of {len(numbers)} clusters keep their numbers of {self.table}")
        return numbers


def earlier_numbers(named: Path | None, replaced: Path) -> EarlierNumbers | None:
    """Return the numbers that clusters had before.

    Args:
        named: a `clusters.csv` that the config names; None: they had those of the replaced one.
        replaced: the `clusters.csv` that the run will replace; it need not be there.

    Returns:
        None: they had none.

    Raises:
        UserError: the named file is no table of clusters.
    """
    if named is not None:
        return EarlierNumbers(named, read_numbers(named))
    if not replaced.is_file():
        return None
    try:
        return EarlierNumbers(replaced, read_numbers(replaced))
    except UserError as error:
        say(f"Warning: the clusters get new numbers. {error}")
        return None


def read_numbers(table: Path) -> "pd.Series":
    """Return the number of the cluster of each image of a `clusters.csv`, by path.

    Raises:
        UserError: no such table.
    """
    import pandas as pd

    from mprd.pairs.answers import read_csv

    known = read_csv(table, ("path", "cluster"))
    number = pd.to_numeric(known["cluster"], errors="coerce")
    sound = (number % 1 == 0) & number.between(-1, _LARGEST)
    if not len(known) or not sound.all() or known["path"].duplicated().any():
        raise UserError(
            f"{table} must give each path one whole number as its cluster, -1 to {_LARGEST:,}. "
            "Name the final/clusters.csv of an earlier run in export.numbers."
        )
    return pd.Series(number.to_numpy(np.int64), index=pd.Index(known["path"]))
