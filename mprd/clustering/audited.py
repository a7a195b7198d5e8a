"""Probabilities of the images in clusters, from an audit of the clusters."""

import numpy as np

from mprd.clustering.audit import ranked_inside
from mprd.clustering.audit_estimate import AuditEstimate
from mprd.clustering.numbering import with_single_clusters


def audited_probability(
    labels: np.ndarray, features: np.ndarray, audit: AuditEstimate
) -> np.ndarray:
    """Return how likely another image of its cluster shows the same identity, for each image.

    A pair inside a cluster is as likely right as the audit found pairs of its stratum to be: those
    that are as near, or as far. The probability of an image is the mean over its pairs.

    Args:
        labels: int (N,), -1 outlier: the clusters that were audited.
        features: float (N, D), that the audit ranked pairs by.
        audit: what it says.

    Returns:
        float32 (N,); NaN for outliers, and for an image alone in its cluster.
    """
    cluster = np.unique(with_single_clusters(labels), return_inverse=True)[1]
    mates = np.bincount(cluster)[cluster] - 1
    if len(audit.sizes) == 1:
        return np.where(mates > 0, audit.rates[0], np.nan).astype(np.float32)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    pairs = ranked_inside(cluster, unit.astype(np.float32))
    rate = np.repeat(audit.rates, audit.sizes)
    total = np.bincount(pairs.ravel(), np.repeat(rate, 2), len(labels))
    return np.where(mates > 0, total / np.maximum(mates, 1), np.nan).astype(np.float32)
