"""mAP without sorting against sorting every row: `python benchmarks/evaluation.py`."""

import argparse

import numpy as np
from jaccard import clustered, measure, print_table

from mprd.evaluation import evaluate


def literal(
    query: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
) -> float:
    """Return the mAP by the definition: the whole distance matrix, each row sorted."""
    order = np.argsort(-(query @ gallery.T), axis=1, kind="stable")
    precisions = []
    for i, ranking in enumerate(order):
        same = gallery_ids[ranking] == query_ids[i]
        hits = same[~(same & (gallery_cameras[ranking] == query_cameras[i]))]
        ranks = np.flatnonzero(hits) + 1
        if len(ranks):
            precisions.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    return float(np.mean(precisions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=8000, help="gallery images; queries: a sixth")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    queries = max(1, options.n // 6)
    count = queries + options.n
    features, identities = clustered(count)
    cameras = np.random.default_rng(1).integers(0, 6, count)
    sides = (
        features[:queries],
        identities[:queries],
        cameras[:queries],
        features[queries:],
        identities[queries:],
        cameras[queries:],
    )
    found = evaluate(*sides).map  # compiles
    ours = measure(lambda: evaluate(*sides), options.runs)
    expected = literal(*sides)
    reference = measure(lambda: literal(*sides), options.runs)
    print(f"mAP, {queries} queries, {options.n} gallery; difference {abs(found - expected):.1e}")
    print_table(ours, reference)


if __name__ == "__main__":
    main()
