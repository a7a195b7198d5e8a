"""Pseudo-labels from a sparse distance graph, and their agreement with identities."""

from mprd.clustering.agreement import PairQuality, pair_quality
from mprd.clustering.dbscan import dbscan
from mprd.clustering.graph_matrix import graph_distance

__all__ = ["PairQuality", "dbscan", "graph_distance", "pair_quality"]
