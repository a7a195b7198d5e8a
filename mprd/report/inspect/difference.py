"""What became of the clusters between two clusterings of the same images."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, read_artifact
from mprd.clustering.health import stability
from mprd.errors import UserError


@dataclass(frozen=True)
class Difference:
    """Two clusterings compared, from A to B.

    A cluster of A goes on in the cluster of B that holds most of its images, if more than half; a
    cluster of B comes from the one of A that gave it most, if more than half of it.

    Attributes:
        images: their number.
        clusters: of A and B.
        outliers: of A and B.
        agreement: F1 of the pairs held together.
        moved: images that are not where their cluster went on, or left or joined the outliers.
        unchanged: clusters with the same images.
        merged: (cluster of B, the clusters of A that went on in it), two or more.
        split: (cluster of A, the clusters of B that come from it), two or more.
        dissolved: clusters of A that go on in none.
        new: clusters of B that come from none.
    """

    images: int
    clusters: tuple[int, int]
    outliers: tuple[int, int]
    agreement: float
    moved: int
    unchanged: int
    merged: list[tuple[int, list[int]]]
    split: list[tuple[int, list[int]]]
    dissolved: list[int]
    new: list[int]


def compare(a: np.ndarray, b: np.ndarray) -> Difference:
    """Compare two clusterings.

    Args:
        a: int (N,), -1 outlier.
        b: int (N,), -1 outlier.
    """
    count_a, count_b = int(a.max(initial=-1)) + 1, int(b.max(initial=-1)) + 1
    goes, comes = _heir(a, b, count_a), _heir(b, a, count_b)
    stays = (a >= 0) & (b >= 0)
    stays[stays] = goes[a[stays]] == b[stays]
    size_a, size_b = (np.bincount(x[x >= 0], minlength=1) for x in (a, b))
    same = [
        k
        for k in range(count_a)
        if goes[k] >= 0 and size_a[k] == size_b[goes[k]] and np.array_equal(a == k, b == goes[k])
    ]
    return Difference(
        images=len(a),
        clusters=(count_a, count_b),
        outliers=(int((a < 0).sum()), int((b < 0).sum())),
        agreement=stability(b, a),
        moved=int((~stays & ((a >= 0) | (b >= 0))).sum()),
        unchanged=len(same),
        merged=_several(goes),
        split=_several(comes),
        dissolved=np.flatnonzero(goes < 0).tolist(),
        new=np.flatnonzero(comes < 0).tolist(),
    )


def compare_files(a: Path, b: Path) -> Difference:
    """Compare two `clusters.h5`.

    Raises:
        UserError: they are of different images.
    """
    files = [read_artifact(path, CLUSTERS) for path in (a, b)]
    one, other = (file["labels"] for file in files)
    if len(one) != len(other):
        raise UserError(
            f"{a} clusters {len(one)} images, {b} {len(other)}: give two of one data set."
        )
    found, (of_a, of_b) = compare(one, other), (file["number"] for file in files)
    # As people know them; the lists are of clusters of a or of b.
    return replace(
        found,
        merged=[(int(of_b[k]), of_a[group].tolist()) for k, group in found.merged],
        split=[(int(of_a[k]), of_b[group].tolist()) for k, group in found.split],
        dissolved=of_a[found.dissolved].tolist(),
        new=of_b[found.new].tolist(),
    )


def _heir(of: np.ndarray, among: np.ndarray, count: int) -> np.ndarray:
    """Return for each cluster the one of the others that holds more than half of it, or -1."""
    heir = np.full(count, -1)
    both = (of >= 0) & (among >= 0)
    cells, shared = np.unique(np.stack([of[both], among[both]]), axis=1, return_counts=True)
    most = 2 * shared > np.bincount(of[of >= 0], minlength=count)[cells[0]]
    heir[cells[0, most]] = cells[1, most]
    return heir


def _several(heir: np.ndarray) -> list[tuple[int, list[int]]]:
    """Return (heir, its sources) where there are two or more."""
    order = np.argsort(heir, kind="stable")
    order = order[heir[order] >= 0]
    values, starts = np.unique(heir[order], return_index=True)
    groups = np.split(order, starts[1:]) if len(order) else []
    return [
        (int(value), group.tolist())
        for value, group in zip(values, groups, strict=True)
        if len(group) > 1
    ]
