"""The neighbour graph: nearest neighbours and k-reciprocal Jaccard distances."""

from mprd.graph.approximate import approximate_knn
from mprd.graph.cameras import CameraStatistics, center_cameras, standardize_cameras
from mprd.graph.jaccard import jaccard_distance
from mprd.graph.neighbors import knn

__all__ = [
    "CameraStatistics",
    "approximate_knn",
    "center_cameras",
    "jaccard_distance",
    "knn",
    "standardize_cameras",
]
