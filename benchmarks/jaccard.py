"""The sparse Jaccard graph and DBSCAN against dense numpy: `python benchmarks/jaccard.py`."""

import numpy as np
from common import Row, arguments, compare, embeddings, measure, median, report
from sklearn.cluster import DBSCAN

from mprd.clustering.dbscan import dbscan
from mprd.graph import approximate_knn, jaccard_distance, knn

EPS = 0.6


def literal(features: np.ndarray, index: np.ndarray, k1: int = 30, k2: int = 6) -> np.ndarray:
    """Return all N x N distances: dense V, an inverted list per column, one row at a time."""
    count = len(features)

    def mutual(k: int) -> list[np.ndarray]:
        return [row[(index[row, :k] == i).any(axis=1)] for i, row in enumerate(index[:, :k])]

    near, core = mutual(k1), mutual(round(k1 / 2) + 1)
    vectors = np.zeros((count, count), np.float32)
    for i in range(count):
        more = [core[c] for c in near[i] if 3 * np.isin(core[c], near[i]).sum() > 2 * len(core[c])]
        members = np.unique(np.concatenate([near[i], *more]))
        weights = np.exp(2 * features[members] @ features[i] - 2)
        vectors[i, members] = weights / weights.sum()
    expanded = np.empty_like(vectors)
    for i in range(count):
        expanded[i] = vectors[index[i, :k2]].mean(axis=0)
    del vectors
    holders = [np.flatnonzero(expanded[:, m]) for m in range(count)]
    distance = np.empty((count, count), np.float32)
    for i in range(count):
        shared = np.zeros(count, np.float32)
        for m in np.flatnonzero(expanded[i]):
            shared[holders[m]] += np.minimum(expanded[i, m], expanded[holders[m], m])
        distance[i] = 1 - shared / (2 - shared)
    return distance.clip(0)


def beside_literal(count: int, dim: int, limit: float, runs: int) -> list[Row]:
    """Compare both kernels at a size where the dense version fits."""
    features, _ = embeddings(count, dim)
    _, index = knn(features, 30)
    kept: list[np.ndarray] = [None]  # type: ignore[list-item]

    def dense() -> None:
        kept[0] = None
        kept[0] = literal(features, index)

    found = compare(lambda: jaccard_distance(features, index), dense, runs)
    sparse, distance = jaccard_distance(features, index), kept[0]
    row = np.repeat(np.arange(count), np.diff(sparse.indptr))
    error = float(np.abs(sparse.data - distance[row, sparse.indices]).max())
    labels = dbscan(sparse, EPS)
    expected = DBSCAN(eps=EPS, min_samples=4, metric="precomputed").fit_predict(distance)
    equal = np.array_equal(labels, expected)
    size = f"N={count:,}, D={dim}"
    seconds, _ = median(lambda: dbscan(sparse, EPS), 5)
    return [
        Row(
            "Jaccard graph, neighbours given",
            size,
            f"{found.ratio:.0f}x dense numpy",
            "20x, equal labels",
            found.ratio >= 20 and equal,
            f"{found.times()}; {labels.max() + 1} clusters, {(labels < 0).sum()} outliers, labels "
            f"{'equal' if equal else 'DIFFER'}; largest difference {error:.0e}",
        ),
        Row(
            "Jaccard graph, extra memory",
            size,
            f"{found.peak:.0f} MiB",
            f"{limit:.0f} MB",
            found.peak * 2**20 <= limit * 1e6,
            f"dense numpy {found.reference_peak:,.0f} MiB",
        ),
        Row("DBSCAN", size, f"{seconds:.3f} s", "0.3 s", seconds <= 0.3, f"eps {EPS}"),
    ]


def million(count: int) -> list[Row]:
    """Neighbours, graph and clusters where nothing dense is thinkable."""
    small, _ = embeddings(3000, 128)
    jaccard_distance(small, approximate_knn(small, 30)[1])  # compiles
    features, _ = embeddings(count, 128)
    result: dict = {}
    size = f"N={count:,}, D=128"
    knn_time, knn_peak = measure(lambda: result.update(near=approximate_knn(features, 30)))
    _, index, recall = result.pop("near")
    time, peak = measure(lambda: result.update(graph=jaccard_distance(features, index)))
    graph = result["graph"]
    clustering, _ = measure(lambda: result.update(labels=dbscan(graph, EPS)))
    labels = result["labels"]
    return [
        Row(
            "kNN approximate (ivf)",
            size,
            f"recall@30 {recall:.3f} in {knn_time:.0f} s",
            "0.95 in 900 s",
            recall >= 0.95 and knn_time <= 900,
            f"extra memory {knn_peak:,.0f} MiB",
        ),
        Row(
            "Jaccard graph, neighbours given",
            size,
            f"{time:.0f} s, {peak / 1024:.1f} GiB",
            "600 s, 10 GB",
            time <= 600 and peak * 2**20 <= 10e9,
            f"{graph.nnz / count:.1f} distances per row",
        ),
        Row(
            "DBSCAN",
            size,
            f"{clustering:.2f} s",
            "30 s",
            clustering <= 30,
            f"{labels.max() + 1:,} clusters, {(labels < 0).mean():.0%} outliers",
        ),
    ]


def main() -> None:
    options = arguments(__doc__, n=12_936, runs=2)
    if options.large:
        rows = beside_literal(32_621, 2048, 400, 1) + million(1_000_000)
    else:
        rows = beside_literal(options.n, 2048, 150, options.runs)
    report(rows, options.json)


if __name__ == "__main__":
    main()
