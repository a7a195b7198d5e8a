"""How well clusters fit their own distances where no identity is known.

None of it tells whether clusters are right (docs/explanation/report.md): after training on its own
clusters a network holds wrong ones together as well as right ones. Among clusterings of the same
features, the geometric mean of two shares follows the true pair F1 best: of the pairs that are each
other's nearest across two cameras, how many are together (`found`); and how well images relate to
their clusters, outliers counted as 0 (`cohesion`).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.agreement import pair_quality
from mprd.clustering.membership import membership
from mprd.clustering.numbering import with_single_clusters
from mprd.clustering.operating_point import confident_pairs, share_together
from mprd.system.checks import check_distances, check_integers
from mprd.system.csr import entry_rows


@dataclass(frozen=True)
class ClusterHealth:
    """Metrics of one clustering that need no identities, all in [0, 1] but the silhouette.

    Attributes:
        score: self-agreement, the geometric mean of `found` and `cohesion`; NaN without confident
            pairs. It measures the fit of clusters to these distances, not whether they are right.
        found: share in one cluster of the pairs that are mutually nearest across two cameras.
        cohesion: mean relation, 1 - Jaccard distance, of an image to the others of its cluster;
            outliers count 0.
        silhouette: mean over the images in clusters (Rousseeuw 1987), in [-1, 1]; NaN with fewer
            than two clusters.
        outliers: share of images without a cluster.
        single_camera: share of the clusters that only one camera sees; NaN if fewer than two
            cameras are known.
        largest: share of all images that the largest cluster holds.
    """

    score: float
    found: float
    cohesion: float
    silhouette: float
    outliers: float
    single_camera: float
    largest: float


def cluster_health(
    distance: csr_array,
    labels: np.ndarray,
    neighbors: np.ndarray,
    cameras: np.ndarray,
    sizes: np.ndarray | None = None,
) -> ClusterHealth:
    """Measure how well clusters fit their distances, without identities.

    Args:
        distance: (N, N), symmetric Jaccard distances; a pair that is not stored has distance 1.
        labels: int (N,), -1 outlier.
        neighbors: int (N, k), nearest rows, the row itself first.
        cameras: int (N,), -1 unknown.
        sizes: int (N,), images that each row stands for, a track; None: one each.

    Raises:
        ValueError: no square CSR matrix of distances, or labels or cameras that do not fit it.
    """
    count = check_distances(distance).shape[0]
    labels = check_integers(labels, count, "labels")
    cameras = check_integers(cameras, count, "cameras")
    images = np.ones(count, np.int64) if sizes is None else sizes
    found = share_together(labels, confident_pairs(neighbors, cameras))
    cohesion = _mean(membership(distance, labels, images), images)
    inside = labels >= 0
    whole = np.bincount(labels[inside], images[inside], minlength=1)
    return ClusterHealth(
        score=health_score(found, cohesion),
        found=found,
        cohesion=cohesion,
        silhouette=_mean(silhouette(distance, labels, images)[inside], images[inside])
        if len(whole) > 1
        else float("nan"),
        outliers=1 - _mean(inside, images),
        single_camera=single_camera_share(labels, cameras),
        largest=float(whole.max() / images.sum()),
    )


def health_score(found: float, cohesion: float) -> float:
    """Return the geometric mean of the two; see `ClusterHealth`."""
    return float(np.sqrt(found * cohesion))


def _mean(values: np.ndarray, images: np.ndarray) -> float:
    return float((values * images).sum() / images.sum())


def silhouette(
    distance: csr_array, labels: np.ndarray, images: np.ndarray | None = None
) -> np.ndarray:
    """Return the silhouette of each image: (b - a) / max(a, b).

    Here a is the mean distance to the others of its cluster, and b the smallest mean distance to
    another cluster. Only stored pairs are touched: time and memory grow with their number.

    Args:
        distance: (N, N), symmetric, in [0, 1]; a pair that is not stored has distance 1.
        labels: int (N,), -1 outlier.
        images: int (N,), those that each row stands for; None: one each.

    Returns:
        float32 (N,); 0 for outliers and for an image that is alone in its cluster.
    """
    images = np.ones(len(labels), np.int64) if images is None else images
    count, clusters = len(labels), int(labels.max(initial=-1)) + 1
    row = entry_rows(distance.indptr)
    column = distance.indices
    use = (row != column) & (labels[row] >= 0) & (labels[column] >= 0)
    near = (1 - distance.data[use].astype(np.float64)) * images[column[use]]
    # Summed relation of each image to each cluster that it has a stored pair with.
    itself = np.flatnonzero(labels >= 0)
    near = np.concatenate([near, images[itself] - 1.0])  # its own other images
    pairs = np.append(row[use], itself), np.append(labels[column[use]], labels[itself])
    sums = csr_array((near, pairs), shape=(count, clusters))
    sums.sum_duplicates()
    image, cluster = entry_rows(sums.indptr), sums.indices
    own = labels[image] == cluster
    sizes = np.bincount(labels[itself], images[itself], minlength=clusters)
    mean = sums.data / np.maximum(sizes[cluster] - own, 1)
    inner, outer = np.zeros(count), np.zeros(count)
    inner[image[own]] = mean[own]
    np.maximum.at(outer, image[~own], mean[~own])
    a, b = 1 - inner, 1 - outer
    result = (b - a) / np.maximum(np.maximum(a, b), 1e-12)
    alone = (labels < 0) | (sizes[labels] < 2) if clusters else np.ones(count, bool)
    return np.where(alone, 0, result).astype(np.float32)


def single_camera_share(labels: np.ndarray, cameras: np.ndarray) -> float:
    """Return the share of clusters whose images are all of one camera.

    Args:
        labels: int (N,), -1 outlier.
        cameras: int (N,), -1 unknown: such images do not count.

    Returns:
        NaN if fewer than two cameras are known, or there are no clusters.
    """
    known = (labels >= 0) & (cameras >= 0)
    if len(np.unique(cameras[cameras >= 0])) < 2 or not known.any():
        return float("nan")
    pairs = np.unique(np.stack([labels[known], cameras[known]]), axis=1)
    _, seen = np.unique(pairs[0], return_counts=True)
    return float((seen == 1).mean())


def stability(labels: np.ndarray, before: np.ndarray) -> float:
    """Return how far two clusterings agree: the F1 of the pairs they hold together.

    Args:
        labels: int (N,), -1 outlier.
        before: int (N,), -1 outlier: the clustering of the epoch before.
    """
    return pair_quality(labels, with_single_clusters(before)).f1
