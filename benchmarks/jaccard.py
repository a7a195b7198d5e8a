"""Sparse Jaccard distance against the dense formulas in numpy: `python benchmarks/jaccard.py`."""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mprd.graph import jaccard_distance, knn


def clustered(count: int, dim: int = 512, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 (count, dim) unit rows and their identities, ~17 rows each, overlapping."""
    rng = np.random.default_rng(seed)
    identities = max(1, count // 17)
    identity = rng.integers(0, identities, count)
    rows = rng.normal(size=(identities, dim))[identity]
    rows = (rows + 2.5 * rng.normal(size=(count, dim))).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), identity


def literal(features: np.ndarray, index: np.ndarray, k1: int = 30, k2: int = 6) -> np.ndarray:
    """Return all N x N distances by the formulas, one row at a time."""
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
    vectors = np.stack([vectors[row[:k2]].mean(axis=0) for row in index])
    distance = np.empty((count, count), np.float32)
    for i in range(count):
        members = np.flatnonzero(vectors[i])
        shared = np.minimum(vectors[i, members], vectors[:, members]).sum(axis=1)
        distance[i] = 1 - shared / (2 - shared)
    return distance


def measure(function: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the median seconds and the peak memory added, MiB (NaN where Linux is not)."""
    times, peaks = [], []
    for _ in range(runs):
        before = _reset_peak()
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
        peaks.append(_status("VmHWM") - before)
    return statistics.median(times), max(peaks)


def print_table(ours: tuple[float, float], reference: tuple[float, float]) -> None:
    """Print times, ratio and peaks."""
    print(f"{'':12}{'median s':>10}{'peak MiB':>10}")
    print(f"{'mprd':12}{ours[0]:10.3f}{ours[1]:10.0f}")
    print(f"{'reference':12}{reference[0]:10.3f}{reference[1]:10.0f}")
    print(f"{'ratio':12}{reference[0] / ours[0]:9.1f}x")


def _reset_peak() -> float:
    """Set the kernel's peak-memory mark to now; return the memory in use, MiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return float("nan")
    return _status("VmRSS")


def _status(field: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3000, help="images")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    features, _ = clustered(options.n)
    _, index = knn(features, min(options.n, 30))
    found = jaccard_distance(features, index)  # compiles
    ours = measure(lambda: jaccard_distance(features, index), options.runs)
    dense = literal(features, index)
    rows = np.repeat(np.arange(options.n), np.diff(found.indptr))
    error = float(np.abs(found.data - dense[rows, found.indices]).max())
    del dense
    reference = measure(lambda: literal(features, index), options.runs)
    print(f"Jaccard distance, N={options.n}, neighbours given; largest difference {error:.1e}")
    print_table(ours, reference)


if __name__ == "__main__":
    main()
