"""Memories and losses."""

from mprd.losses.contrastive import nt_xent_loss
from mprd.losses.hsd import hsd_loss
from mprd.losses.memory import ClusterMemory, centroids
from mprd.losses.ppa import ppa_loss
from mprd.losses.segments import PairList, pair_similarities, random_member, segment_argmin

__all__ = [
    "ClusterMemory",
    "PairList",
    "centroids",
    "hsd_loss",
    "nt_xent_loss",
    "pair_similarities",
    "ppa_loss",
    "random_member",
    "segment_argmin",
]
