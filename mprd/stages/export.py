"""Stage `export`: what a user takes away from a run."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from mprd.artifacts import (
    CLUSTERS,
    FEATURES,
    SPLITS,
    Artifact,
    atomic,
    read_artifact,
    write_artifact,
)
from mprd.clustering.numbering import numbers_of
from mprd.config import Config
from mprd.data.index import camera_names, name_cameras, name_identities, read_index, split_rows
from mprd.errors import UserError
from mprd.models.card import model_card
from mprd.models.weights import add_card, read_architecture
from mprd.pipeline.inputs import JudgeInputs, require_other
from mprd.pipeline.layout import FinalLayout
from mprd.pipeline.settings import stage_settings
from mprd.stages.cluster import run_cluster
from mprd.stages.cluster_numbers import read_numbers
from mprd.stages.exclusive import exclusive
from mprd.stages.features import run_features
from mprd.stages.graph import run_graph
from mprd.system import group

SETTINGS = (
    "graph.k1",
    "graph.k2",
    "graph.eps_max",
    "graph.cameras",
    "graph.backend",
    "cluster.method",
    "cluster.relation",
    "cluster.gamma",
    "cluster.min_size",
    "cluster.eps",
    "cluster.min_samples",
    "cluster.widen_step",
    "cluster.constraints",
    "export.numbers",
    "features.dtype",
    "precision",
)
FILES = ("cluster.constraints", "export.numbers")
SETTINGS_WHEN = (
    ({"graph.backend": "ivf"}, ("graph.min_recall",)),
    ({"cluster.relation": "judged"}, ("seed", "gcn.neighbors")),
)


@exclusive
def run_export(
    *,
    index: Path,
    pixels: Path,
    model: Path,
    out: FinalLayout,
    config: Config,
    threads: int | None = None,
    gcn: Path | None = None,
) -> None:
    """Write the last model, embeddings of all images, and the clusters it finds.

    The clusters are those of the trained model: each epoch's own clusters are older, made from
    the model that the epoch began with.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        model: `model.safetensors` of the last epoch.
        out: files to write; embeddings are of all splits, features, graph and clusters of the
            training images. Cluster -1 is an outlier; the confidence of an image is its mean
            relation to the others of its cluster.
        config: of the run.
        threads: worker threads.
        gcn: the relation GCN after the last epoch (`cluster.relation: judged`).

    Raises:
        UserError: an input is missing, damaged or of another run; too little memory.
    """
    if config.uses_judgements and gcn is None:
        raise UserError("cluster.relation is judged: give --gcn of the last epoch.")
    if config.export.numbers is not None:
        require_other(config, out)
        read_numbers(config.export.numbers)  # a mistake in it is told now, not at the end
    run_features(
        index=index, pixels=pixels, model=model, out=out.embeddings, config=config, splits=SPLITS
    )
    writes = group.writes()
    group.leave()  # what follows takes no network; a process alone does it
    if not writes:
        return
    _keep_train(index=index, embeddings=out.embeddings, out=out.features, config=config)
    run_graph(features=out.features, index=index, out=out.graph, config=config, threads=threads)
    judgements = None
    if config.uses_judgements and gcn is not None:
        from mprd.stages.judge import run_judge
        from mprd.stages.ranks import run_ranks

        judgements = out.judgements
        run_cluster(
            index=index, graph=out.graph, out=out.provisional_clusters, config=config, whole=True
        )
        files = JudgeInputs(
            index=index,
            features=out.features,
            graph=out.graph,
            provisional_clusters=out.provisional_clusters,
            gcn=gcn,
            ranks=out.ranks if config.graph.backend == "ivf" else None,
        )
        if files.ranks is not None:
            run_ranks(index=index, features=out.features, out=files.ranks, config=config)
        run_judge(files, out=judgements, config=config)
    run_cluster(
        index=index,
        graph=out.graph,
        out=out.clusters,
        config=config,
        judgements=judgements,
        whole=True,
        numbers=config.export.numbers,
    )
    artifact, clusters = read_index(index), read_artifact(out.clusters, CLUSTERS)
    add_card(model, out.model, _card(model, artifact, clusters))
    rows = split_rows(artifact, "train")
    table = pd.DataFrame(
        {
            "path": artifact["path"][rows],
            "cluster": numbers_of(clusters["labels"], clusters["number"]),
            "confidence": clusters["membership"],
            "camera": name_cameras(artifact, rows),
        }
    )
    if (artifact["identity"][rows] >= 0).any():
        table["identity"] = name_identities(artifact, rows)
    with atomic(out.table) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")


def _card(model: Path, index: Artifact, clusters: Artifact) -> str:
    """Return the card of a model, with the figures of the clusters that it finds."""
    architecture, config = read_architecture(model)
    images = {key: index.attributes[key] for key in ("dataset", "num_train")}
    cameras = len(camera_names(index)) or "unknown"
    data = {"data set": images["dataset"], "images": images["num_train"], "cameras": cameras}
    data["settings"] = json.dumps(config, sort_keys=True)
    names = ("health", "confident_together", "cohesion", "nmi", "pair_precision", "pair_recall")
    found = {"clusters": float(len(clusters["sizes"]))}
    found |= {"outliers": float(clusters.attributes["num_outliers"])}
    figures = found | {name: float(clusters.attributes[name]) for name in names}
    return model_card(architecture, data, figures)


def _keep_train(*, index: Path, embeddings: Path, out: Path, config: Config) -> None:
    """Write the training rows of the embeddings as `features.h5`: nothing is embedded twice."""
    artifact = read_artifact(embeddings, FEATURES)
    rows = split_rows(read_index(index), "train")
    chosen = np.isin(artifact["row"], rows)
    write_artifact(
        out,
        FEATURES,
        {
            "features": artifact["features"][chosen].astype(config.features.dtype),
            "row": artifact["row"][chosen],
        },
        config=stage_settings(config, "features"),
        inputs=artifact.inputs,
        attributes={"splits": "train"},
    )
