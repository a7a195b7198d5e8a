"""Metrics without sorting, beside sorting and the bare product: `python benchmarks/evaluation.py`.

The literal version sorts every row and takes the average precision from scikit-learn.
"""

import numpy as np
from common import Row, arguments, compare, embeddings, measure, report
from sklearn.metrics import average_precision_score

from mprd.retrieval.evaluation import evaluate

Sides = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def problem(queries: int, gallery: int, dim: int) -> Sides:
    """Return queries and gallery with matches: identities of 17 images, six cameras."""
    features, identity = embeddings(queries + gallery, dim)
    camera = np.random.default_rng(1).integers(0, 6, len(features))
    whole = features, identity, camera
    return *(part[:queries] for part in whole), *(part[queries:] for part in whole)


def literal(sides: Sides) -> tuple[float, float]:
    """Return mAP and rank-1 by sorting every row."""
    query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras = sides
    similarity = query @ gallery.T
    order = np.argsort(-similarity, axis=1, kind="stable")
    precisions, hits = [], []
    for i, ranking in enumerate(order):
        same = gallery_ids[ranking] == query_ids[i]
        kept = ~(same & (gallery_cameras[ranking] == query_cameras[i]))
        if same[kept].any():
            # By place, not by similarity: scikit-learn would average over ties.
            precisions.append(average_precision_score(same[kept], -np.arange(kept.sum())))
            hits.append(same[kept][0])
    return float(np.mean(precisions)), float(np.mean(hits))


def main() -> None:
    options = arguments(__doc__, queries=3368, gallery=15_913, dim=2048, runs=3)
    sides = problem(options.queries, options.gallery, options.dim)
    ours = evaluate(*sides, top=50)
    expected = literal(sides)
    difference = max(abs(ours.map - expected[0]), abs(ours.cmc[1] - expected[1]))
    size = f"{options.queries:,} x {options.gallery:,}, D={options.dim}"
    sorting = compare(lambda: evaluate(*sides, top=50), lambda: literal(sides), options.runs)
    product = compare(
        lambda: evaluate(*sides, top=50), lambda: sides[0] @ sides[3].T, options.runs + 2
    )
    rows = [
        Row(
            "evaluation (mAP, CMC, mINP, top 50)",
            size,
            f"{sorting.ratio:.1f}x sorting",
            "8x",
            sorting.ratio >= 8 and difference < 1e-6,
            f"{sorting.times()}; mAP {ours.map:.4f}, largest difference {difference:.0e}",
        ),
        Row(
            "evaluation (mAP, CMC, mINP, top 50)",
            size,
            f"{1 / product.ratio:.2f}x the bare product",
            "1.5x",
            1 / product.ratio <= 1.5,
            product.times(),
        ),
    ]
    del sides
    # As many images as MSMT17.
    sides = problem(11_659, 82_161, options.dim)
    inputs = sum(part.nbytes for part in sides) / 2**20
    seconds, peak = measure(lambda: evaluate(*sides, top=50))
    rows.append(
        Row(
            "evaluation, memory with its input",
            f"11,659 x 82,161, D={options.dim}",
            f"{(inputs + peak) / 1024:.1f} GiB",
            "6 GB",
            (inputs + peak) * 2**20 <= 6e9,
            f"{seconds:.0f} s",
        )
    )
    report(rows, options.json)


if __name__ == "__main__":
    main()
