"""Agreement of clusters with known identities."""

from dataclasses import dataclass

import numpy as np

from mprd.clustering.numbering import with_single_clusters
from mprd.system.checks import check_integers


@dataclass(frozen=True)
class PairQuality:
    """Agreement of a clustering with identities: over all images, and over pairs of images.

    Attributes:
        nmi: normalised mutual information (arithmetic mean of the entropies).
        ari: adjusted Rand index.
        precision: share of the pairs in one cluster that are of one identity; 0 without pairs.
        recall: share of the pairs of one identity that are in one cluster; 0 without pairs.
        f1: harmonic mean of precision and recall; 0 if both are 0.
        cross_recall: recall of the pairs of two different known cameras, the pairs that teach most;
            NaN if there are none or no cameras are given.
    """

    nmi: float
    ari: float
    precision: float
    recall: float
    f1: float
    cross_recall: float = float("nan")


def pair_quality(
    labels: np.ndarray, identities: np.ndarray, cameras: np.ndarray | None = None
) -> PairQuality:
    """Compare pseudo-labels with identities, in O(N log N).

    Args:
        labels: int (N,), -1 outlier: each is a cluster of its own.
        identities: int (N,), -1 unknown: not counted.
        cameras: int (N,), -1 unknown: in no pair of two cameras.

    Raises:
        ValueError: the lengths differ, no whole numbers, or no identity is known.
    """
    count = len(labels)
    labels = check_integers(labels, count, "labels")
    identities = check_integers(identities, count, "identities")
    known = identities >= 0
    if not known.any():
        raise ValueError("no identity is known, there is nothing to compare with.")
    cameras = np.full(count, -1) if cameras is None else cameras
    cameras = check_integers(cameras, count, "cameras")
    labels, identities, cameras = labels[known], identities[known], cameras[known]
    labels = with_single_clusters(labels)
    _, cluster, cluster_size = np.unique(labels, return_inverse=True, return_counts=True)
    _, identity, identity_size = np.unique(identities, return_inverse=True, return_counts=True)
    cell, shared = np.unique(cluster * len(identity_size) + identity, return_counts=True)
    together, clustered, same = _pairs(shared), _pairs(cluster_size), _pairs(identity_size)
    return PairQuality(
        nmi=_mutual_information(cell, shared, cluster_size, identity_size),
        ari=_rand_index(together, clustered, same, _pairs(np.array([len(labels)]))),
        precision=together / clustered if clustered else 0.0,
        recall=together / same if same else 0.0,
        f1=2 * together / (clustered + same) if clustered + same else 0.0,
        cross_recall=_cross_recall(cluster, identity, cameras),
    )


def _cross_recall(cluster: np.ndarray, identity: np.ndarray, cameras: np.ndarray) -> float:
    """Return the share of pairs of one identity and two cameras that share a cluster."""
    seen = cameras >= 0
    cluster, identity, camera = cluster[seen], identity[seen], cameras[seen]

    def pairs(*keys: np.ndarray) -> int:
        _, sizes = np.unique(np.stack(keys), axis=1, return_counts=True)
        return _pairs(sizes)

    same = pairs(identity) - pairs(identity, camera)
    together = pairs(cluster, identity) - pairs(cluster, identity, camera)
    return together / same if same else float("nan")


def _pairs(sizes: np.ndarray) -> int:
    """Return the number of unordered pairs within groups of these sizes."""
    return int((sizes * (sizes - 1) // 2).sum())


# The two indices are those of scikit-learn, whose import would take two thirds of the stage's time.


def _mutual_information(
    cell: np.ndarray, shared: np.ndarray, cluster_size: np.ndarray, identity_size: np.ndarray
) -> float:
    """Return mutual information over the mean entropy; 1 where both are a single group."""
    if len(cluster_size) == len(identity_size) == 1:
        return 1.0
    total = shared.sum()
    cluster, identity = np.divmod(cell, len(identity_size))
    joint = shared / total
    by_chance = (cluster_size[cluster] / total) * (identity_size[identity] / total)
    information = float((joint * np.log(joint / by_chance)).sum())
    return information / ((_entropy(cluster_size) + _entropy(identity_size)) / 2)


def _entropy(sizes: np.ndarray) -> float:
    share = sizes / sizes.sum()
    return float(-(share * np.log(share)).sum())


def _rand_index(together: int, clustered: int, same: int, all_pairs: int) -> float:
    """Return the adjusted Rand index (Hubert & Arabie, 1985) from numbers of pairs."""
    if together == clustered == same:
        return 1.0
    by_chance = clustered * same / all_pairs
    return (together - by_chance) / ((clustered + same) / 2 - by_chance)
