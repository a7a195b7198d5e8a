"""Retrieval: mAP, CMC and mINP of ranked galleries, and re-ranking."""

from mprd.retrieval.evaluation import Evaluation, evaluate
from mprd.retrieval.reranking import rerank

__all__ = ["Evaluation", "evaluate", "rerank"]
