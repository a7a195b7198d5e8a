"""The relation GCN, which judges whether a pair of images shows one identity."""

from mprd.gcn.model import GcnShape, RelationGCN
from mprd.gcn.subgraphs import PairGraphs, pair_graphs

__all__ = ["GcnShape", "PairGraphs", "RelationGCN", "pair_graphs"]
