"""k-reciprocal re-ranking of query-gallery distances (Zhong et al., CVPR 2017)."""

import numpy as np

from mprd.graph.jaccard import jaccard_distance
from mprd.graph.neighbors import knn
from mprd.graph.reciprocal import list_length
from mprd.system.checks import check_features

_EPS_MAX = 0.9999999


def rerank(
    query_features: np.ndarray,
    gallery_features: np.ndarray,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    threads: int | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Return re-ranked distances: (1 - weight) Jaccard + weight (2 - 2 cos) / 4.

    Queries and gallery form one set of images for the k-reciprocal neighbours; only the
    query-gallery block is ever dense. Pairs with nothing in common have Jaccard distance 1.

    Args:
        query_features: float32 (Q, D), rows of unit length.
        gallery_features: float32 (G, D), rows of unit length.
        k1: neighbours.
        k2: rows of the query expansion.
        weight: share of the original distance (lambda), scaled to [0, 1].
        threads: worker threads.
        device: of the search for neighbours: auto (a GPU if there is one), cpu, cuda or cuda:N.

    Returns:
        float32 (Q, G).

    Raises:
        ValueError: weight outside [0, 1], features of two widths, or as `knn` and
            `jaccard_distance`.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight is {weight}, must lie between 0 and 1")
    query = check_features(query_features, "query_features")
    gallery = check_features(gallery_features, "gallery_features")
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"features {query.shape} and {gallery.shape} differ in width")
    features = np.concatenate([query, gallery])
    queries = len(query_features)
    width = min(len(features), list_length(k1, k2))
    _, index = knn(features, width, device=device, threads=threads)
    jaccard = jaccard_distance(features, index, k1, k2, _EPS_MAX, threads)
    result = np.ones((queries, len(gallery_features)), np.float32)
    block = jaccard[:queries].tocoo()
    inside = block.col >= queries
    result[block.row[inside], block.col[inside] - queries] = block.data[inside]
    original = (2 - 2 * features[:queries] @ features[queries:].T) / 4
    return (1 - weight) * result + weight * original.clip(0, 1)
