"""What became of the clusters between two clusterings of the same images."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mprd.artifacts import atomic
from mprd.clustering.agreement import pair_quality
from mprd.clustering.numbering import with_single_clusters
from mprd.errors import UserError
from mprd.report.inspect.clustering import Clustering, in_common, numbers


@dataclass(frozen=True)
class Difference:
    """Two clusterings compared, from A to B.

    A cluster of A goes on in the cluster of B that holds most of its images, if more than half; a
    cluster of B comes from the one of A that gave it most, if more than half of it.

    Attributes:
        images: their number.
        clusters: of A and B.
        outliers: of A and B.
        only_in: images that only A has, and only B: they are not compared.
        agreement: F1 of the pairs held together.
        precision: share of the pairs together in A that are together in B, too; 0 without pairs.
        recall: share of the pairs together in B that are together in A, too; likewise.
        ari: adjusted Rand index, as of scikit-learn; outliers are clusters of one.
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
    only_in: tuple[int, int]
    agreement: float
    precision: float
    recall: float
    ari: float
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
    moved = _moved(a, b, goes)
    pairs = pair_quality(a, with_single_clusters(b))
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
        only_in=(0, 0),
        agreement=pairs.f1,
        precision=pairs.precision,
        recall=pairs.recall,
        ari=pairs.ari,
        moved=int(moved.sum()),
        unchanged=len(same),
        merged=_several(goes),
        split=_several(comes),
        dissolved=np.flatnonzero(goes < 0).tolist(),
        new=np.flatnonzero(comes < 0).tolist(),
    )


def compare_clusterings(a: Clustering, b: Clustering) -> Difference:
    """Compare two clusterings on the images that both have.

    Raises:
        UserError: there are none.
    """
    one, other, rest = in_common(a, b)
    found, of_a, of_b = compare(one.labels, other.labels), one.number, other.number
    # As people know them; the lists are of clusters of a or of b.
    return replace(
        found,
        only_in=rest,
        merged=[(int(of_b[k]), of_a[group].tolist()) for k, group in found.merged],
        split=[(int(of_a[k]), of_b[group].tolist()) for k, group in found.split],
        dissolved=of_a[found.dissolved].tolist(),
        new=of_b[found.new].tolist(),
    )


def write_changes(a: Clustering, b: Clustering, out: Path) -> None:
    """Write a CSV of the images that both clusterings have: path, cluster_a, cluster_b, moved.

    Args:
        a: one clustering.
        b: another.
        out: CSV to write; moved is 1 or 0.

    Raises:
        UserError: the paths of the images are not known.
    """
    one, other, _ = in_common(a, b)
    if one.paths is None or other.paths is None:
        unknown = a.source if a.paths is None else b.source
        raise UserError(f"{unknown} lies in no folder of a run, so its images are not known.")
    goes = _heir(one.labels, other.labels, len(one.number))
    moved = _moved(one.labels, other.labels, goes).astype(int)
    rows = zip(one.paths, numbers(one), numbers(other), moved, strict=True)
    with (
        atomic(out, lock=False) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(("path", "cluster_a", "cluster_b", "moved"))
        writer.writerows(rows)


def _moved(a: np.ndarray, b: np.ndarray, goes: np.ndarray) -> np.ndarray:
    """Return which images are not where their cluster went on, bool (N,)."""
    stays = (a >= 0) & (b >= 0)
    stays[stays] = goes[a[stays]] == b[stays]
    return ~stays & ((a >= 0) | (b >= 0))


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
