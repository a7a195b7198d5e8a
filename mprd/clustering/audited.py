"""Probabilities of the images in clusters, from an audit of the clusters."""

import numpy as np

from mprd.clustering.audit_estimate import AuditEstimate
from mprd.clustering.audit_strata import ranked_inside
from mprd.clustering.numbering import with_single_clusters
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups


def audited_probability(
    labels: np.ndarray,
    features: np.ndarray,
    audit: AuditEstimate,
    tracks: np.ndarray | None = None,
    sides: np.ndarray | None = None,
) -> np.ndarray:
    """Return how likely another image of its cluster shows the same identity, for each image.

    A pair inside a cluster is as likely right as the audit found pairs of its stratum to be: those
    that are as near, or as far. The probability of an image is the mean over its pairs.

    Args:
        labels: int (N,), -1 outlier: the clusters that were audited.
        features: float (N, D), that the audit ranked pairs by.
        audit: what it says.
        tracks: int (N,), -1 none, as for the audit: pairs are of tracks. None: there are none.
        sides: int (N,), -1 unknown, likewise.

    Returns:
        float32 (N,); NaN for outliers, and for an image or track alone in its cluster.
    """
    none = np.full(len(labels), -1)
    groups = TrackGroups.of_tracks(none if tracks is None else tracks)
    shown = Sides.of_tracks(none if sides is None else sides, groups)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    unit = unit.astype(np.float32)
    if groups.shared:
        unit = groups.means(unit)
    own = labels[groups.first]
    cluster = np.unique(with_single_clusters(own), return_inverse=True)[1]
    if len(audit.sizes) == 1:
        mates = np.bincount(cluster)[cluster] - 1
        found = np.where(mates > 0, audit.rates[0], np.nan)
    else:
        pairs = ranked_inside(cluster, unit)
        pairs = pairs[~shown.apart(pairs[:, 0], pairs[:, 1])]
        mates = np.bincount(pairs.ravel(), minlength=len(own))
        rate = np.repeat(audit.rates, audit.sizes)
        total = np.bincount(pairs.ravel(), np.repeat(rate, 2), len(own))
        found = np.where(mates > 0, total / np.maximum(mates, 1), np.nan)
    return found.astype(np.float32)[groups.group]
