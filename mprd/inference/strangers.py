"""Images that belong to no known cluster: clusters among themselves, as the run makes its own."""

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import Artifact
from mprd.clustering.constraints import Constraints
from mprd.clustering.decided import constrained
from mprd.clustering.from_pairs import cluster_pairs, counted_pairs
from mprd.clustering.graph_matrix import relation_of
from mprd.clustering.tracks import TrackGroups
from mprd.config import ClusterConfig, Config
from mprd.graph.jaccard import jaccard_distance
from mprd.graph.nearest import nearest
from mprd.graph.reciprocal import list_length


def pairs_of(
    known: np.ndarray, tracks: TrackGroups, new: np.ndarray, config: Config
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the Jaccard distances of new images to the places of a run and to each other.

    They are those of a graph of all images, with the settings of the run.

    Args:
        known: float32 (N, D), of the run's images, as they are compared.
        tracks: of these images, G places.
        new: float32 (M, D), likewise.
        config: the `graph` section and `device` are read.

    Returns:
        indptr int64 (M + 1,), indices int32, data float32: CSR rows (M, G + M).
    """
    settings = config.graph
    places = tracks.means(known) if tracks.shared else known
    vectors = np.concatenate([places, new]).astype(np.float32)
    if len(vectors) < 2 or not len(new):
        count = len(new) + 1
        return np.zeros(count, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
    width = min(len(vectors), list_length(settings.k1, settings.k2))
    _, neighbors, _ = nearest(vectors, width, config, None)
    found = jaccard_distance(vectors, neighbors, settings.k1, settings.k2, settings.eps_max)
    start = found.indptr[len(places)]
    indptr = (found.indptr[len(places) :] - start).astype(np.int64)
    return indptr, found.indices[start:].astype(np.int32), found.data[start:].astype(np.float32)


def as_used(settings: ClusterConfig, clusters: Artifact) -> ClusterConfig:
    """Return the settings of the final clusters of a run, with what was chosen for them.

    Args:
        settings: the `cluster` section.
        clusters: `final/clusters.h5`.
    """
    found = {name: float(clusters.attributes[name]) for name in ("eps", "gamma")}
    return settings.model_copy(update={key: x for key, x in found.items() if not np.isnan(x)})


def own_clusters(
    distance: csr_array, settings: ClusterConfig, apart: np.ndarray, alone: np.ndarray
) -> np.ndarray:
    """Return clusters of images that belong to no known one, int32 (n,), -1 outlier.

    Args:
        distance: (n, n), of the stored pairs.
        settings: as used by the run.
        apart: int (p, 2), rows that people say are two identities.
        alone: bool (n,), rows that are a cluster even if they are alone.
    """
    count = distance.shape[0]
    if not count:
        return np.zeros(0, np.int32)
    near = counted_pairs(distance, distance.data, settings)
    labels, _ = cluster_pairs(near, np.zeros((0, 2), np.int64), settings)
    if not len(apart) and not alone.any():
        return labels
    said = Constraints.of_answers(count, apart, np.zeros(len(apart), bool))
    return constrained(labels, relation_of(near), said, np.ones(count, np.int64), alone)
