"""What `features.dtype: float16` changes, and large data sets as views of their files.

`python benchmarks/storage.py [--n 20000] [--features FILE]`. Neighbours, Jaccard distances and
clusters of features as they are and of the same rounded to half precision; test features, or those
of a run's features.h5. Then a graph-sized data set read into memory and mapped: the memory that a
process cannot give back, and the time until all of it was checked.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from common import Row, arguments, embeddings, report

from mprd.artifacts import FEATURES, read_artifact, rows, write_artifact
from mprd.clustering.dbscan import dbscan
from mprd.graph import jaccard_distance, knn

EPS = 0.5


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean share of the entries of a row that the same row of the other holds."""
    return float(
        np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in zip(one, other, strict=True)])
    )


def halved(features: np.ndarray, k1: int, size: str) -> Row:
    """Compare what follows from features and from features that were stored in half precision."""
    found = []
    for values in (features, features.astype(np.float16).astype(np.float32)):
        near = knn(values, k1 + 1)[1]
        distance = jaccard_distance(values, near, k1=k1, k2=6)
        found.append((near, distance, dbscan(distance, EPS, 4)))
    (near, distance, labels), (other_near, other_distance, other_labels) = found
    change = abs(distance - other_distance)
    pairs = max(distance.nnz, 1)
    # Who is together with whom, among the pairs that the graph stores.
    i, j = distance.nonzero()
    together, other = (
        (lab[i] == lab[j]) & (lab[i] >= 0) for lab in (labels, other_labels)
    )  # fmt: skip
    return Row(
        "features in half precision",
        size,
        f"{100 * overlap(near, other_near):.2f} % of the neighbours",
        detail=f"mean change of a Jaccard distance {change.sum() / pairs:.1e}, largest "
        f"{change.max():.2f}; {100 * (together != other).mean():.2f} % of the stored pairs change "
        f"sides in DBSCAN; {labels.max() + 1} clusters, {other_labels.max() + 1} then",
    )


def held() -> float:
    """Return the memory of this process that is in no file, GiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    return kib / 2**20


def mapped(count: int, dim: int) -> Row:
    """Read features of `count` images into memory and as a view of their file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.h5"
        values = np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        parts = {"features": values, "row": np.arange(count)}
        attributes = {"splits": "train"}
        write_artifact(path, FEATURES, parts, config={}, inputs={}, attributes=attributes)
        size = values.nbytes / 2**30
        del values, parts
        found = []
        for least in (2**62, 0):
            rows._MAPPED_BYTES = least
            before, start = held(), time.perf_counter()
            artifact = read_artifact(path, FEATURES)
            found.append((held() - before, time.perf_counter() - start))
            del artifact
    (read, read_s), (view, view_s) = found
    return Row(
        "features mapped",
        f"N={count:,}, D={dim}: {size:.2f} GiB",
        f"{view:.2f} GiB held",
        detail=f"{read:.2f} GiB when read; checked in {view_s:.1f} s, {read_s:.1f} s when read",
    )


def main() -> None:
    options = arguments(__doc__, n=20_000, dim=256, k1=20, mapped=1_000_000, features="")
    if options.features:
        features = read_artifact(Path(options.features), FEATURES)["features"]
    else:
        features, _ = embeddings(options.n, options.dim)
    size = f"N={len(features):,}, D={features.shape[1]}, k1={options.k1}"
    report([halved(features, options.k1, size), mapped(options.mapped, options.dim)], options.json)


if __name__ == "__main__":
    main()
