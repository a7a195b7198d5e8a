"""What the pairs of an audit are drawn of: images, or tracks, which are shown by one image each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mprd.clustering.audit_strata import Stratum
from mprd.clustering.numbering import with_single_clusters
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.system.checks import check_features, check_integers


@dataclass(frozen=True)
class AuditUnits:
    """Tracks, and images without a track.

    Attributes:
        clusters: int64 (G,) for each clustering, from 0; each outlier a cluster of its own.
        features: float32 (G, D), unit rows.
        sides: of the units.
        groups: which images a unit has.
        shown: sides of the images.
    """

    clusters: list[np.ndarray]
    features: np.ndarray
    sides: Sides
    groups: TrackGroups
    shown: Sides

    @classmethod
    def of_images(
        cls,
        labels: Sequence[np.ndarray],
        features: np.ndarray,
        count: int,
        tracks: np.ndarray | None,
        sides: np.ndarray | None,
        fewest: int,
    ) -> "AuditUnits":
        """Return the units of images; see `audit_pairs`.

        Args:
            labels: int (N,) for each clustering, -1 outlier.
            features: float (N, D).
            count: pairs to draw.
            tracks: int (N,), -1 none, or None.
            sides: int (N,), -1 unknown, or None.
            fewest: pairs that are enough.

        Raises:
            ValueError: no such labels, features, tracks or sides, a track with two labels, or too
                small a count.
        """
        features = check_features(features)
        labels = [check_integers(one, len(features), "labels") for one in labels]
        if count < fewest:
            raise ValueError(f"an audit needs at least {fewest} pairs, not {count}.")
        none = np.full(len(features), -1)
        groups = TrackGroups.of_tracks(
            none if tracks is None else check_integers(tracks, len(features), "tracks")
        )
        if any((one != one[groups.first][groups.group]).any() for one in labels):
            raise ValueError("images of one track have two labels.")
        features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        features = features.astype(np.float32)
        shown = none if sides is None else check_integers(sides, len(features), "sides")
        return cls(
            clusters=[
                np.unique(with_single_clusters(one[groups.first]), return_inverse=True)[1]
                for one in labels
            ],
            features=groups.means(features) if groups.shared else features,
            sides=Sides.of_tracks(shown, groups),
            groups=groups,
            shown=Sides(shown),
        )

    @property
    def name(self) -> str:
        """What the units are, in an error."""
        return "tracks" if self.groups.shared else "images"

    def draw(
        self, strata: Sequence[Stratum], shares: Sequence[int], seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw pairs in a random order.

        Args:
            strata: of units.
            shares: pairs to draw of each.
            seed: of the draw.

        Returns:
            int64 (n, 2), rows of images, the smaller one first, of a track a random image; int64
            (n,), the stratum of each.
        """
        rng = np.random.default_rng(seed)
        drawn = np.concatenate([one.draw(rng, n) for one, n in zip(strata, shares, strict=True)])
        order = rng.permutation(sum(shares))
        stratum = np.repeat(np.arange(len(strata)), shares)[order]
        return np.sort(self._images(drawn[order], rng), axis=1), stratum

    def _images(self, pairs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a random image of each unit of some pairs, int64 (n, 2), not of two sides."""
        groups = self.groups
        order = np.argsort(groups.group, kind="stable")
        begin = np.cumsum(groups.sizes) - groups.sizes
        found = order[begin[pairs] + rng.integers(0, groups.sizes[pairs])]
        while (wrong := np.flatnonzero(self.shown.apart(found[:, 0], found[:, 1]))).size:
            again = pairs[wrong]
            found[wrong] = order[begin[again] + rng.integers(0, groups.sizes[again])]
        return found
