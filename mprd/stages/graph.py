"""Stage `graph`: nearest neighbours and sparse Jaccard distances."""

import sys
from pathlib import Path

import numpy as np

from mprd.artifacts import FEATURES, GRAPH, INDEX, write_artifact
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config
from mprd.errors import UserError, many
from mprd.graph.cameras import align_cameras
from mprd.graph.jaccard import jaccard_distance
from mprd.graph.nearest import nearest
from mprd.graph.reciprocal import list_length
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import Sizes, require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.system.gpu import gpu_number
from mprd.system.threads import worker_count


@exclusive
def run_graph(
    *,
    index: Path,
    features: Path,
    out: Path,
    config: Config,
    threads: int | None = None,
) -> None:
    """Write the neighbour graph of the features.

    The images of a track share one place in it, see `TrackGroups`.

    Args:
        index: `index.h5`, read for tracks and cameras.
        features: `features.h5`.
        out: `graph.h5` to write.
        config: the `graph` section and `device` are read.
        threads: worker threads; the result does not depend on it.

    Raises:
        UserError: the features are missing or damaged, there are fewer than two images or tracks,
            or cameras are needed and none is known; too little memory.
    """
    lineage = Lineage("graph")
    artifact = lineage.read("features", features, FEATURES)
    vectors = artifact["features"]
    if len(vectors) < 2:
        raise UserError(
            f"{features} holds {many(len(vectors), 'image')}; a graph needs at least two."
        )
    settings = config.graph
    sizes = Sizes(
        images=len(vectors),
        dim=vectors.shape[1],
        threads=worker_count(threads),
        torch=_loads_torch(config),
    )
    require_memory("graph", sizes, config)
    images = lineage.read("index", index, INDEX, ("camera", "track"))
    if settings.cameras != "none":
        cameras = images["camera"][artifact["row"]]
        vectors = align_cameras(vectors, _known(cameras, index), settings.cameras)
    tracks = TrackGroups.of_tracks(images["track"][artifact["row"]])
    if tracks.shared:
        vectors = tracks.means(vectors)
        if len(vectors) < 2:
            raise UserError(f"All images of {index} are of one track; a graph needs two tracks.")
    width = min(len(vectors), list_length(settings.k1, settings.k2))
    similarities, neighbors, recall = nearest(vectors, width, config, threads)
    distance = jaccard_distance(
        vectors, neighbors, settings.k1, settings.k2, settings.eps_max, threads
    )
    neighbors, similarities = tracks.lists(neighbors, similarities)
    indptr, indices = tracks.pairs(distance.indptr, distance.indices)
    write_artifact(
        out,
        GRAPH,
        {
            "neighbors": neighbors,
            "similarities": np.clip(similarities, -1, 1),
            "indptr": indptr,
            "indices": indices,
            "data": distance.data.astype(np.float32),
        },
        config=stage_settings(config, "graph"),
        inputs={**artifact.inputs, "features": artifact.digest},
        attributes={"eps_max": settings.eps_max, "cameras": settings.cameras, "recall": recall},
    )


def _loads_torch(config: Config) -> bool:
    """Tell whether torch is in this process, or the search will load it."""
    backend = config.graph.backend
    on_gpu = backend == "auto" and gpu_number(config.device) is not None
    return backend == "torch" or on_gpu or "torch" in sys.modules


def _known(cameras: np.ndarray, index: Path) -> np.ndarray:
    """Return the cameras, of which some must be known."""
    if (cameras < 0).all():
        raise UserError(f"{index} knows no cameras. Set graph.cameras to none.")
    return cameras
