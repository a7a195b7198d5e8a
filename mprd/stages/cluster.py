"""Stage `cluster`: pseudo-labels."""

from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, GRAPH, INDEX, Artifact, read_artifact, write_artifact
from mprd.clustering.agreement import pair_quality
from mprd.clustering.methods import CLUSTERINGS
from mprd.clustering.stored import graph_distance
from mprd.config import ClusterConfig, Config
from mprd.errors import UserError
from mprd.pipeline.lineage import require_parent
from mprd.pipeline.settings import stage_settings
from mprd.stages.common import split_rows
from mprd.system.ram import cluster_bytes, require

SETTINGS = ("cluster",)

_SPARSE = 0.5  # share of outliers from which one cluster means "too strict", not "all joined"


def run_cluster(*, index: Path, graph: Path, out: Path, config: Config) -> None:
    """Write the pseudo-labels of the training images.

    Where identities are known, agreement with them is recorded, for the eye only.

    Args:
        index: `index.h5`.
        graph: `graph.h5` of the training features.
        out: `clusters.h5` to write.
        config: the `cluster` section is read.

    Raises:
        UserError: eps above what the graph stores; fewer than two clusters found; too little
            memory.
    """
    images = read_artifact(index, INDEX, ("split", "identity", "camera"))
    artifact = read_artifact(graph, GRAPH, ("indptr", "indices", "data"))
    require_parent(artifact, "index", images.digest, index)
    rows = split_rows(images, "train")
    identities = images["identity"][rows]
    count = len(artifact["indptr"]) - 1
    if count != len(identities):
        raise UserError(
            f"{graph} covers {count} images, the train split of {index} has {len(identities)}. "
            "Make the features of the train split with `mprd features`."
        )
    need = cluster_bytes(count, len(artifact["indices"]))
    require("cluster", need, "Take a machine with more memory, or a smaller graph.eps_max.")
    labels, eps = cluster_graph(artifact, config.cluster, out)
    sizes = np.bincount(labels[labels >= 0]).astype(np.int32)
    outliers = int((labels < 0).sum())
    quality = _quality(labels, identities, images["camera"][rows])
    print(f"{len(sizes)} clusters, {outliers} outliers of {count} images at eps {eps:g}")
    write_artifact(
        out,
        CLUSTERS,
        {"labels": labels, "sizes": sizes},
        config=stage_settings(config, "cluster"),
        inputs={**artifact.inputs, "graph": artifact.digest},
        attributes={"eps": eps, "num_outliers": outliers, **quality},
    )


def cluster_graph(
    artifact: Artifact, settings: ClusterConfig, where: Path
) -> tuple[np.ndarray, float]:
    """Cluster a graph, widening eps where the settings say so.

    Returns:
        Labels int32 (N,) and the eps used.

    Raises:
        UserError: as `run_cluster`.
    """
    eps_max = float(artifact.attributes["eps_max"])
    if settings.eps > eps_max:
        raise UserError(
            f"cluster.eps is {settings.eps:g} but {artifact.path} stores distances up to "
            f"{eps_max:g}. Raise graph.eps_max or lower cluster.eps."
        )
    distance = graph_distance(artifact)
    cluster = CLUSTERINGS[settings.method]
    while True:
        labels = cluster(distance, settings)
        count = int(labels.max()) + 1
        if count >= 2:
            return labels, settings.eps
        joined = count == 1 and (labels < 0).mean() < _SPARSE  # wider would join still more
        if settings.widen_step == 0 or joined or settings.eps >= eps_max:
            raise UserError(_too_few(count, joined, settings, where))
        wider = min(settings.eps + settings.widen_step, eps_max)
        print(f"Warning: {count} clusters at eps {settings.eps:g}; widening to {wider:g}.")
        settings = settings.model_copy(update={"eps": wider})


def _too_few(count: int, joined: bool, settings: ClusterConfig, where: Path) -> str:
    found = f"{settings.method} found {count} cluster{'' if count == 1 else 's'}"
    smaller = "cluster.min_samples" if settings.method == "dbscan" else "cluster.min_size"
    if joined:
        remedy = "Lower cluster.eps"
    else:
        remedy = f"Raise cluster.eps (and graph.eps_max), lower {smaller}"
        if settings.widen_step == 0:
            remedy += ", or set cluster.widen_step"
    return (
        f"{found} at eps {settings.eps:g}, training needs two ({where}). {remedy}; or start from "
        "a better model."
    )


def _quality(labels: np.ndarray, identities: np.ndarray, cameras: np.ndarray) -> dict[str, float]:
    names = {
        "nmi": "nmi",
        "ari": "ari",
        "pair_precision": "precision",
        "pair_recall": "recall",
        "pair_f1": "f1",
        "cross_recall": "cross_recall",
    }
    if not (identities >= 0).any():
        return dict.fromkeys(names, float("nan"))
    quality = pair_quality(labels, identities, cameras)
    return {name: getattr(quality, field) for name, field in names.items()}
