"""Average linkage on a sparse graph against scipy on all pairs: `python benchmarks/linkage.py`."""

import numpy as np
from common import Row, arguments, compare, embeddings, measure, report
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as dense_linkage
from scipy.sparse import csr_array
from scipy.spatial.distance import squareform

from mprd.clustering.linkage import LinkageTree, linkage_tree
from mprd.graph import jaccard_distance, knn

THRESHOLD = 0.8
STORED = 0.97


def literal(distance: csr_array) -> np.ndarray:
    """Return the steps of average linkage on all N x N distances."""
    dense = np.ones(distance.shape)
    rows = np.repeat(np.arange(distance.shape[0]), np.diff(distance.indptr))
    dense[rows, distance.indices] = distance.data
    np.fill_diagonal(dense, 0)
    return dense_linkage(squareform(dense, checks=False), "average")


def graph(count: int, dim: int) -> csr_array:
    """Return Jaccard distances of images that a network in training embeds."""
    features, _ = embeddings(count, dim)
    _, index = knn(features, 30)
    return jaccard_distance(features, index, eps_max=STORED)


def beside_literal(count: int, dim: int, runs: int) -> list[Row]:
    """Compare at a size where all pairs fit."""
    distance = graph(count, dim)
    kept: dict[str, np.ndarray] = {}
    found = compare(
        lambda: linkage_tree(distance), lambda: kept.update(steps=literal(distance)), runs
    )
    labels = linkage_tree(distance).cut(THRESHOLD)
    expected = fcluster(kept["steps"], THRESHOLD, "distance")
    pairs = np.unique(np.stack([labels, expected]), axis=1).shape[1]
    equal = pairs == labels.max() + 1 == expected.max()
    return [
        Row(
            "average linkage",
            f"N={count:,}, {distance.nnz / count:.0f} pairs each",
            f"{found.ratio:.0f}x scipy on all pairs",
            "10x, equal clusters",
            found.ratio >= 10 and equal,
            f"{found.times()}; {labels.max() + 1} clusters at {THRESHOLD}, clusters "
            f"{'equal' if equal else 'DIFFER'}; extra memory {found.peak:,.0f} MiB against "
            f"{found.reference_peak:,.0f} MiB",
        )
    ]


def random_graph(count: int, each: int = 15) -> csr_array:
    """Return random pairs, 60 % of them within groups of 20, whose distances are smaller."""
    rng = np.random.default_rng(0)
    group = np.arange(count) // 20
    row = np.repeat(np.arange(count), each)
    inside = rng.random(len(row)) < 0.6
    column = np.where(
        inside, 20 * group[row] + rng.integers(0, 20, len(row)), rng.integers(0, count, len(row))
    )
    column = np.minimum(column, count - 1)
    alike = group[row] == group[column]
    values = np.where(alike, rng.beta(4, 4, len(row)), rng.beta(8, 2, len(row)))
    keep = row != column
    pairs = np.sort(np.stack([row[keep], column[keep]]), axis=0)
    _, first = np.unique(pairs[0] * count + pairs[1], return_index=True)
    (low, high), values = pairs[:, first], values[keep][first].astype(np.float32)
    edges = np.concatenate([low, high]), np.concatenate([high, low])
    return csr_array((np.concatenate([values, values]), edges), shape=(count, count))


def million(count: int) -> list[Row]:
    """Build the whole tree, and cut it, where nothing dense is thinkable."""
    linkage_tree(random_graph(1000))  # compiles
    distance = random_graph(count)
    kept: dict[str, LinkageTree] = {}
    seconds, peak = measure(lambda: kept.update(tree=linkage_tree(distance)))
    cut, _ = measure(lambda: kept["tree"].cut(THRESHOLD, 4))
    return [
        Row(
            "average linkage, the whole tree",
            f"N={count:,}, {distance.nnz / count:.0f} pairs each",
            f"{seconds:.0f} s, {peak / 1024:.1f} GiB",
            "120 s, 8 GiB",
            seconds <= 120 and peak <= 8 * 1024,
            f"another cut {cut:.2f} s",
        )
    ]


def main() -> None:
    options = arguments(__doc__, n=8_000, runs=3)
    rows = beside_literal(options.n, 256, options.runs)
    report(rows + million(1_000_000) if options.large else rows, options.json)


if __name__ == "__main__":
    main()
