"""How alike images look: the embeddings that their clusters were made from."""

from dataclasses import dataclass

import numpy as np

from mprd.artifacts import FEATURES, Artifact
from mprd.clustering.sides import Sides
from mprd.config import Config
from mprd.data.added import Added
from mprd.data.index import split_rows
from mprd.evidence.run_distance import of_the_run
from mprd.graph.cameras import align_cameras
from mprd.inference.placing import Compared
from mprd.pipeline.layout import RunLayout


@dataclass(frozen=True)
class Looks:
    """Vectors whose products add up over groups of images: cosines, 0 between two sides.

    Attributes:
        vectors: float32 (N, W).
        sign: float32 (W,), weights of their products.
    """

    vectors: np.ndarray
    sign: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, sides: np.ndarray) -> "Looks":
        """Return the looks of images.

        All products, less those of images with a known side, plus those of images with one side:
        these are the products of pairs that do not show two sides.

        Args:
            features: float32 (N, D), unit rows.
            sides: int (N,), -1 unknown.
        """
        width = features.shape[1]
        known = np.unique(sides[sides >= 0])
        if len(known) < 2:
            return cls(features, np.ones(width, np.float32))
        which = [np.ones(len(sides), bool), sides >= 0, *(sides == one for one in known)]
        vectors = np.concatenate([features * one[:, None] for one in which], axis=1)
        sign = np.ones(len(which), np.float32)
        sign[1] = -1
        return cls(vectors, np.repeat(sign, width))


def read_looks(
    run: RunLayout, config: Config, index: Artifact, clusters: Artifact, added: Added, sides: Sides
) -> Looks | None:
    """Return the looks of the images of a run, and of those that were added.

    Args:
        run: its layout.
        config: of the run.
        index: of the run.
        clusters: its final clusters.
        added: images that were added.
        sides: of all these images.

    Returns:
        None: nobody kept the embeddings.

    Raises:
        UserError: the clusters were made from other embeddings.
    """
    if not run.final.features.is_file():
        return None
    features = of_the_run(clusters, "features", run.final.features, FEATURES)["features"]
    features = features.astype(np.float32)
    if len(added):
        compared = Compared.of(index, features, added, config)
        return Looks.of(np.concatenate([compared.known, compared.new]), sides.of)
    cameras = index["camera"][split_rows(index, "train")]
    return Looks.of(align_cameras(features, cameras, config.graph.cameras), sides.of)
