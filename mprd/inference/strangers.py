"""Images that belong to no known cluster: clusters among themselves, as the run makes its own."""

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import Artifact
from mprd.clustering.constraints import Constraints
from mprd.clustering.decided import constrained
from mprd.clustering.from_pairs import cluster_pairs, counted_pairs
from mprd.clustering.graph_matrix import relation_of
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.config import ClusterConfig, Config
from mprd.graph.jaccard import jaccard_distance
from mprd.graph.nearest import nearest
from mprd.graph.reciprocal import list_length
from mprd.inference.sightings import Sightings


def sides_of(seen: Sightings, tracks: TrackGroups) -> Sides:
    """Return the sides that places show: images, or tracks of them.

    Args:
        seen: images of a run, and behind them new ones.
        tracks: of all of them.
    """
    names, code = np.unique(np.append(seen.sides, [""]).astype(str), return_inverse=True)
    return Sides.of_tracks(np.where(names[code] == "", -1, code)[:-1], tracks)


def pairs_of(
    known: np.ndarray, tracks: TrackGroups, new: np.ndarray, sides: Sides, config: Config
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the Jaccard distances of new images to the places of a run and to each other.

    They are those of a graph of all images, with the settings of the run. Pairs of two sides of an
    animal are left out.

    Args:
        known: float32 (N, D), of the run's images, as they are compared.
        tracks: of these images, G places.
        new: float32 (M, D), likewise.
        sides: of the places, G + M.
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
    ours = sides.between(found)
    start = ours.indptr[len(places)]
    indptr = (ours.indptr[len(places) :] - start).astype(np.int64)
    return indptr, ours.indices[start:].astype(np.int32), ours.data[start:].astype(np.float32)


def as_used(settings: ClusterConfig, clusters: Artifact) -> ClusterConfig:
    """Return the settings of the final clusters of a run, with what was chosen for them.

    Args:
        settings: the `cluster` section.
        clusters: `final/clusters.h5`.
    """
    found = {name: float(clusters.attributes[name]) for name in ("eps", "gamma")}
    return settings.model_copy(update={key: x for key, x in found.items() if not np.isnan(x)})


def own_clusters(
    distance: csr_array,
    settings: ClusterConfig,
    sides: Sides,
    apart: np.ndarray,
    alone: np.ndarray,
) -> np.ndarray:
    """Return clusters of images that belong to no known one, int32 (n,), -1 outlier.

    Args:
        distance: (n, n), of the stored pairs, none of two sides.
        settings: as used by the run.
        sides: of the rows.
        apart: int (p, 2), rows that people say are two identities.
        alone: bool (n,), rows that are a cluster even if they are alone.
    """
    count = distance.shape[0]
    if not count:
        return np.zeros(0, np.int32)
    near = counted_pairs(distance, distance.data, settings)
    labels, _ = cluster_pairs(near, np.zeros((0, 2), np.int64), settings)
    relation, single = relation_of(near), np.ones(count, np.int64)
    labels = sides.part(labels, relation, single)
    if not len(apart) and not alone.any():
        return labels
    said = Constraints.of_answers(count, apart, np.zeros(len(apart), bool))
    return constrained(labels, relation, said, single, alone)
