"""The rule that widens eps: where a graph gives fewer than two clusters, try a larger radius."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import Artifact
from mprd.clustering.from_pairs import cluster_pairs, counted_pairs
from mprd.clustering.graph_matrix import relation_of
from mprd.clustering.numbering import number_clusters
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.config import ClusterConfig
from mprd.errors import UserError, many

if TYPE_CHECKING:  # slow to load, and only linkage uses it
    from mprd.clustering.linkage import LinkageTree

_SPARSE = 0.5  # share of outliers from which one cluster means "too strict", not "all joined"


@dataclass(frozen=True)
class GraphLabels:
    """Labels from the pairs that a graph stores, at any radius that it covers.

    A row is an image, or all images of a track.

    Attributes:
        graph: `graph.h5`.
        tracks: the images of each row.
        sides: that the rows show; pairs of two sides are not stored here.
        jaccard: its distances, (G, G).
        distance: of the stored pairs, by Jaccard or as judged, corrected by times.
        radius: float (nnz,), what eps is compared with: Jaccard distances, corrected likewise.
        confident: int64 (P, 2), rows: pairs of two cameras that are mutually nearest.
        out: the file that the labels are for, named in errors.
    """

    graph: Artifact
    tracks: TrackGroups
    sides: Sides
    jaccard: csr_array
    distance: csr_array
    radius: np.ndarray
    confident: np.ndarray
    out: Path

    @property
    def eps_max(self) -> float:
        """The largest distance that the graph stores."""
        return float(self.graph.attributes["eps_max"])

    def require_stored(self, eps: float, name: str) -> None:
        """Check that the graph stores all distances up to a radius.

        Raises:
            UserError: it does not.
        """
        if eps > self.eps_max + 1e-9:  # sums of decimal fractions are off by less
            raise UserError(
                f"{name} is {eps:g} but {self.graph.path} stores distances up to "
                f"{self.eps_max:g}. Raise graph.eps_max or lower cluster.eps."
            )

    @cached_property
    def tree(self) -> "LinkageTree":
        """The merges of average linkage, all of them; its rows are images."""
        from mprd.clustering.linkage import linkage_tree

        return replace(linkage_tree(self.distance, sides=self.sides.of), group=self.tracks.group)

    def labels(self, settings: ClusterConfig) -> tuple[np.ndarray, ClusterConfig]:
        """Return labels int32 (G,), and the settings with the gamma used.

        `min_size` counts images, `min_samples` rows.
        """
        if settings.method == "linkage":
            labels = self.tree.cut(settings.threshold, settings.min_size)
            return labels[self.tracks.first], settings
        near = counted_pairs(self.distance, self.radius, settings)
        labels, used = self._by_pairs(near, settings)
        return self.sides.part(labels, relation_of(near), self.tracks.sizes), used

    def _by_pairs(
        self, near: csr_array, settings: ClusterConfig
    ) -> tuple[np.ndarray, ClusterConfig]:
        if not self.tracks.shared:
            return cluster_pairs(near, self.confident, settings)
        one = settings.model_copy(update={"min_size": 1})
        labels, used = cluster_pairs(near, self.confident, one)
        inside = labels >= 0
        labels[inside] = number_clusters(
            labels[inside], settings.min_size, self.tracks.sizes[inside]
        )
        return labels, used.model_copy(update={"min_size": settings.min_size})


def cluster_widening_eps(
    source: GraphLabels, settings: ClusterConfig, *, training: bool
) -> tuple[np.ndarray, ClusterConfig]:
    """Cluster a graph; while it finds fewer than two clusters, widen eps by `cluster.widen_step`.

    Fewer than two clusters are an error only for training: a user gets what there is.

    Returns:
        Labels int32 (G,) of the rows, and the settings with the eps and gamma used.

    Raises:
        UserError: eps above what the graph stores; for training fewer than two clusters.
    """
    if settings.method != "linkage":
        source.require_stored(settings.eps, "cluster.eps")
    while True:
        labels, used = source.labels(settings)
        count = int(labels.max()) + 1
        if count >= 2:
            return labels, used
        joined = count == 1 and (labels < 0).mean() < _SPARSE  # wider would join still more
        if settings.widen_step == 0 or joined or settings.eps >= source.eps_max:
            if training:
                raise UserError(_too_few(count, joined, settings, source.out))
            print(f"Warning: {_found(count, settings)}.")
            return labels, used
        wider = min(settings.eps + settings.widen_step, source.eps_max)
        print(f"Warning: {many(count, 'cluster')} at eps {settings.eps:g}; widening to {wider:g}.")
        settings = settings.model_copy(update={"eps": wider})


def _found(count: int, settings: ClusterConfig) -> str:
    clusters = many(count, "cluster")
    return f"{settings.method} found {clusters} at {operating_point(settings)}"


def operating_point(settings: ClusterConfig) -> str:
    """Return what decides how much is joined, in words."""
    if settings.method == "linkage":
        return f"threshold {settings.threshold:g}"
    return f"eps {settings.eps:g}"


def _too_few(count: int, joined: bool, settings: ClusterConfig, where: Path) -> str:
    smaller = "cluster.min_samples" if settings.method == "dbscan" else "cluster.min_size"
    if settings.method == "linkage":
        how_to_fix = f"{'Lower' if joined else 'Raise'} cluster.threshold, or lower {smaller}"
    elif settings.method != "dbscan":
        how_to_fix = f"{'Raise' if joined else 'Lower'} cluster.gamma, or set it to auto"
    elif joined:
        how_to_fix = "Lower cluster.eps"
    else:
        how_to_fix = f"Raise cluster.eps (and graph.eps_max), lower {smaller}"
        if settings.widen_step == 0:
            how_to_fix += ", or set cluster.widen_step"
    return (
        f"{_found(count, settings)}, training needs two ({where}). {how_to_fix}; or start from "
        "a better model."
    )
