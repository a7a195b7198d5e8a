"""Stage `graph`: nearest neighbours and sparse Jaccard distances."""

from pathlib import Path

import numpy as np

from mprd.artifacts import FEATURES, GRAPH, read_artifact, write_artifact
from mprd.config import Config
from mprd.errors import UserError
from mprd.graph import jaccard_distance, knn
from mprd.provenance import stage_settings


def run_graph(features: Path, out: Path, config: Config, threads: int | None = None) -> None:
    """Write the neighbour graph of the features.

    Args:
        features: `features.h5`.
        out: `graph.h5` to write.
        config: the `graph` section is read.
        threads: worker threads; the result does not depend on it.

    Raises:
        UserError: the features are missing or damaged, or there are fewer than two images.
    """
    artifact = read_artifact(features, FEATURES)
    vectors = artifact["features"]
    if len(vectors) < 2:
        raise UserError(f"{features} holds {len(vectors)} images; a graph needs at least two.")
    settings = config.graph
    width = min(len(vectors), max(settings.k1, settings.k2, round(settings.k1 / 2) + 1))
    similarities, neighbors = knn(vectors, width, settings.backend)
    distance = jaccard_distance(
        vectors, neighbors, settings.k1, settings.k2, settings.eps_max, threads
    )
    write_artifact(
        out,
        GRAPH,
        {
            "neighbors": neighbors,
            "similarities": np.clip(similarities, -1, 1),
            "indptr": distance.indptr.astype(np.int64),
            "indices": distance.indices.astype(np.int32),
            "data": distance.data.astype(np.float32),
        },
        config=stage_settings(config, "graph"),
        inputs={**artifact.inputs, "features": artifact.digest},
        attributes={"eps_max": settings.eps_max},
    )
