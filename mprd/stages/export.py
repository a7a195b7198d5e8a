"""Stage `export`: what a user takes away from a run."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from mprd.artifacts import CLUSTERS, FEATURES, SPLITS, atomic, read_artifact, write_artifact
from mprd.config import Config
from mprd.provenance import stage_settings
from mprd.stages.cluster import run_cluster
from mprd.stages.common import read_index, split_rows
from mprd.stages.features import run_features
from mprd.stages.graph import run_graph


def run_export(
    index: Path,
    pixels: Path,
    model: Path,
    out: Path,
    config: Config,
    threads: int | None = None,
) -> None:
    """Write the last model, embeddings of all images, and the clusters it finds.

    The clusters are those of the trained model: each epoch's own clusters are older, made from
    the model that the epoch began with.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        model: `model.safetensors` of the last epoch.
        out: folder; gets `model.safetensors`, `embeddings.h5` (all splits, features schema),
            `features.h5`, `graph.h5` and `clusters.h5` (train), and `clusters.csv`
            (path, cluster, camera; cluster -1 = outlier).
        config: `graph`, `cluster` and `device` are read.
        threads: worker threads.

    Raises:
        UserError: an input is missing, damaged or of another run.
    """
    with atomic(out / "model.safetensors") as temporary:
        shutil.copyfile(model, temporary)
    run_features(index, pixels, model, out / "embeddings.h5", config, SPLITS)
    _keep_train(index, out / "embeddings.h5", out / "features.h5", config)
    run_graph(out / "features.h5", out / "graph.h5", config, threads, index)
    run_cluster(index, out / "graph.h5", out / "clusters.h5", config)
    artifact = read_index(index)
    rows = split_rows(artifact, "train")
    table = pd.DataFrame(
        {
            "path": artifact["path"][rows],
            "cluster": read_artifact(out / "clusters.h5", CLUSTERS)["labels"],
            "camera": artifact["camera"][rows],
        }
    )
    with atomic(out / "clusters.csv") as temporary:
        table.to_csv(temporary, index=False)


def _keep_train(index: Path, embeddings: Path, out: Path, config: Config) -> None:
    """Write the training rows of the embeddings as `features.h5`: nothing is embedded twice."""
    artifact = read_artifact(embeddings, FEATURES)
    rows = split_rows(read_index(index), "train")
    chosen = np.isin(artifact["row"], rows)
    write_artifact(
        out,
        FEATURES,
        {"features": artifact["features"][chosen], "row": artifact["row"][chosen]},
        config=stage_settings(config, "features"),
        inputs=artifact.inputs,
        attributes={"splits": "train"},
    )
