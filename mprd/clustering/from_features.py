"""Clusters of the features of any network."""

from dataclasses import dataclass

import numpy as np

from mprd.clustering.from_pairs import cluster_pairs, counted_pairs
from mprd.clustering.health import ClusterHealth, cluster_health
from mprd.clustering.membership import membership
from mprd.clustering.operating_point import confident_pairs
from mprd.config import ClusterConfig, Config, validate
from mprd.errors import UserError
from mprd.graph.cameras import align_cameras
from mprd.graph.jaccard import jaccard_distance
from mprd.graph.neighbors import knn
from mprd.graph.reciprocal import list_length
from mprd.system.checks import unit_rows

PER_IDENTITY, THRESHOLD = 10, 0.75


@dataclass(frozen=True)
class FeatureClusters:
    """Clusters of some features.

    Attributes:
        labels: int32 (N,), -1 outlier.
        membership: float32 (N,), mean relation of each row to the others of its cluster.
        health: how well they fit their own distances.
    """

    labels: np.ndarray
    membership: np.ndarray
    health: ClusterHealth


def features_config(
    per_identity: int = PER_IDENTITY, threshold: float = THRESHOLD, *, several_cameras: bool = False
) -> Config:
    """Return settings for features that are not trained further: average linkage.

    Neighbour lists a little longer than an identity has images worked best for people from 4 to 30
    images each; the threshold then fits all of them (docs/howto/search.md).

    Args:
        per_identity: about how many images an identity has, at least 2.
        threshold: largest mean distance of two clusters that are joined; lower: more clusters.
        several_cameras: their cameras are known: remove what the images of a camera share.
    """
    k1 = per_identity + 2
    return validate(
        {
            "graph": {
                "k1": k1,
                "k2": max(2, k1 // 4),
                "eps_max": 0.97,
                "cameras": "center" if several_cameras else "none",
            },
            "cluster": {"method": "linkage", "threshold": threshold, "min_size": 2},
        },
        "the settings for features",
    )


def cluster_features(
    features: np.ndarray,
    config: Config | None = None,
    cameras: np.ndarray | None = None,
    threads: int | None = None,
) -> FeatureClusters:
    """Cluster the features of any network: neighbours, Jaccard distances, clusters.

    Args:
        features: float (N, D), N >= 2; rows are normalised.
        config: the sections `graph` and `cluster`, with `relation: jaccard`, and `device`; None:
            `features_config` for these cameras.
        cameras: int (N,), -1 unknown; None: all unknown.
        threads: worker threads; the result does not depend on it.

    Raises:
        UserError: no such features, or settings that want more than features.
    """
    if features.ndim != 2 or len(features) < 2 or not np.issubdtype(features.dtype, np.floating):
        raise UserError(
            f"Features must be floats (N, D) of at least two images, not {features.dtype} "
            f"{features.shape}."
        )
    where = np.full(len(features), -1) if cameras is None else np.asarray(cameras)
    config = config or features_config(several_cameras=len(np.unique(where[where >= 0])) > 1)
    if config.uses_judgements:
        raise UserError("Clusters of features are not judged: set cluster.relation to jaccard.")
    chosen, defaults = config.cluster, ClusterConfig()
    for name in ("constraints", "self_paced", "widen_step"):
        if getattr(chosen, name) != getattr(defaults, name):
            raise UserError(f"Clusters of features know no cluster.{name}: leave it out.")
    vectors = unit_rows(features)
    settings = config.graph
    if settings.cameras != "none" and (where < 0).all():
        raise UserError("graph.cameras needs the cameras of the images. Set it to none.")
    vectors = align_cameras(vectors, where, settings.cameras)
    _, neighbors = knn(
        vectors,
        min(len(vectors), list_length(settings.k1, settings.k2)),
        device=config.device,
        threads=threads,
    )
    distance = jaccard_distance(
        vectors, neighbors, settings.k1, settings.k2, settings.eps_max, threads
    )
    near = counted_pairs(distance, distance.data, config.cluster)
    labels, _ = cluster_pairs(near, confident_pairs(neighbors, where), config.cluster)
    return FeatureClusters(
        labels, membership(near, labels), cluster_health(distance, labels, neighbors, where)
    )
