"""How time and memory grow with N: `python benchmarks/growth.py [--large]`.

Neighbours (ivf, recall 0.95), Jaccard graph, DBSCAN, and the evaluation of 1,000 queries, D=128.
The slope is the exponent of N between the last two sizes.
"""

import math

import numpy as np
from common import Row, arguments, embeddings, measure, median, report

from mprd.clustering.dbscan import dbscan
from mprd.graph import approximate_knn, jaccard_distance
from mprd.retrieval.evaluation import evaluate

SIZES = [2_000, 8_000, 32_000, 128_000]
LARGE = [512_000, 1_000_000]
QUERIES = 1000


def measure_size(count: int) -> dict[str, tuple[float, float]]:
    """Return seconds and MiB added of each step."""
    features, identity = embeddings(count + QUERIES, 128)
    camera = np.random.default_rng(0).integers(0, 6, len(features))
    train = features[:count]
    kept: dict = {}
    found = {"kNN (ivf)": measure(lambda: kept.update(knn=approximate_knn(train, 30)))}
    index = kept.pop("knn")[1]
    found["Jaccard graph"] = measure(lambda: kept.update(graph=jaccard_distance(train, index)))
    found["DBSCAN"] = median(lambda: dbscan(kept["graph"], 0.6))
    sides = [part[start] for start in (slice(count, None), slice(count)) for part in
             (features, identity, camera)]  # fmt: skip
    found["evaluation, 1,000 queries"] = measure(lambda: evaluate(*sides, top=50))
    return found


def main() -> None:
    options = arguments(__doc__)
    measure_size(2_000)  # compiles
    sizes = SIZES + LARGE if options.large else SIZES
    table = {}
    for count in sizes:
        table[count] = measure_size(count)
        print(
            count, {k: f"{s:.2f} s {m:.0f} MiB" for k, (s, m) in table[count].items()}, flush=True
        )
    rows = []
    small, large = sizes[-2:]
    for step in table[large]:
        cells = [
            f"{count // 1000}k: {seconds:.3g} s, {peak:,.0f} MiB"
            for count in sizes
            for seconds, peak in [table[count][step]]
        ]
        growth = table[large][step][0] / table[small][step][0]
        slope = math.log(growth) / math.log(large / small)
        rows.append(
            Row(f"growth of {step}", "D=128", f"N^{slope:.2f} at the end", detail="; ".join(cells))
        )
    report(rows, options.json)


if __name__ == "__main__":
    main()
