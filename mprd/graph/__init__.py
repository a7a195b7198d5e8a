"""The neighbour graph: exact nearest neighbours and k-reciprocal Jaccard distances."""

from mprd.graph.centering import center_cameras
from mprd.graph.jaccard import jaccard_distance
from mprd.graph.neighbors import knn

__all__ = ["center_cameras", "jaccard_distance", "knn"]
