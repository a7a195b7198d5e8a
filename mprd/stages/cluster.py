"""Stage `cluster`: pseudo-labels."""

from pathlib import Path

import numpy as np

from mprd.artifacts import (
    CLUSTERS,
    GRAPH,
    INDEX,
    JUDGEMENTS,
    Artifact,
    read_artifact,
    write_artifact,
)
from mprd.clustering.agreement import pair_quality
from mprd.clustering.constraints import constrain
from mprd.clustering.graph_matrix import graph_distance, judged_distance, relation_of, within
from mprd.clustering.health import health_score
from mprd.clustering.membership import membership
from mprd.clustering.operating_point import confident_pairs, share_together
from mprd.clustering.self_paced import self_paced
from mprd.clustering.widen_eps import GraphLabels, cluster_widening_eps
from mprd.config import ClusterConfig, Config
from mprd.data.index import split_rows
from mprd.errors import UserError
from mprd.pipeline.layout import EpochLayout, log_prefix
from mprd.pipeline.lineage import require_parent
from mprd.pipeline.settings import stage_settings
from mprd.stages.cluster_answers import read_constraints
from mprd.stages.cluster_numbers import cluster_numbers
from mprd.stages.exclusive import exclusive
from mprd.system.ram import cluster_bytes, require

SETTINGS = ("cluster",)
FILES = ("cluster.constraints",)

PROVISIONAL_GAMMA = 0.05


@exclusive
def run_cluster(
    *,
    index: Path,
    graph: Path,
    out: Path,
    config: Config,
    judgements: Path | None = None,
    previous: Path | None = None,
    whole: bool = False,
    numbers: Path | None = None,
) -> None:
    """Write the pseudo-labels of the training images.

    Where identities are known, agreement with them is recorded, for the eye only.

    Args:
        index: `index.h5`.
        graph: `graph.h5` of the training features.
        out: `clusters.h5` to write.
        config: the `cluster` section is read.
        judgements: `judgements.h5` of the graph: pairs are as near as these say; None: as their
            Jaccard distances say. If the config asks for judged clusters, these are provisional,
            with a gamma of 0.05 at all times: in strict ones the GCN would find no doubts to learn
            from.
        previous: `clusters.h5` of the epoch before, whose threshold of independence goes on
            (`cluster.self_paced`); None: a first epoch, which sets it.
        whole: not for training: keep the members that `cluster.self_paced` would drop, and write
            fewer than two clusters, too.
        numbers: `clusters.csv` of an earlier run, whose numbers go on.

    Raises:
        UserError: eps above what the graph stores; fewer than two clusters found; too little
            memory; `numbers` is no such table.
    """
    images = read_artifact(index, INDEX, ("split", "identity", "camera"))
    artifact = read_artifact(graph, GRAPH, ("neighbors", "indptr", "indices", "data"))
    require_parent(artifact, "index", images.digest, index)
    rows = split_rows(images, "train")
    identities, cameras = images["identity"][rows], images["camera"][rows]
    count = len(artifact["indptr"]) - 1
    if count != len(identities):
        raise UserError(
            f"{graph} covers {count} images, the train split of {index} has {len(identities)}. "
            "Make the features of the train split with `mprd features`."
        )
    need = cluster_bytes(
        count,
        len(artifact["indices"]),
        artifact["neighbors"].shape[1],
        community=config.cluster.method != "dbscan",
    )
    require("cluster", need, "Take a machine with more memory, or a smaller graph.eps_max.")
    inputs = {**artifact.inputs, "graph": artifact.digest}
    distance = jaccard = graph_distance(artifact)
    if judgements is not None:
        judged = _read_judgements(judgements, artifact, config.cluster)
        inputs["judgements"] = judged.digest
        distance = judged_distance(artifact, judged)
    settings = config.cluster
    if config.uses_judgements and judgements is None:
        settings = settings.model_copy(update={"gamma": PROVISIONAL_GAMMA})
    confident = confident_pairs(artifact["neighbors"], cameras)
    source = GraphLabels(artifact, distance, confident, out)
    labels, used = cluster_widening_eps(source, settings, training=not whole)
    independence = float("nan")
    if not whole and used.self_paced:
        labels, independence = _reliable(source, labels, used, previous, inputs)
    near = within(distance, artifact["data"] <= used.eps)
    if used.constraints is not None:
        paths = read_artifact(index, INDEX, ("path",))["path"][rows]
        labels = constrain(labels, relation_of(near), read_constraints(used.constraints, paths))
        if not whole and labels.max() < 1:
            raise UserError(
                f"The answers in {used.constraints} leave {labels.max() + 1} of the clusters, "
                f"training needs two ({out}). Correct them, or leave cluster.constraints out."
            )
    sizes = np.bincount(labels[labels >= 0]).astype(np.int32)
    outliers = int((labels < 0).sum())
    quality = _quality(labels, identities, cameras)
    together = share_together(labels, confident)
    cohesion = float(membership(jaccard, labels).mean())
    print(
        f"{log_prefix(out)}{len(sizes)} {_kind(out)}, {outliers} outliers of {count} images at eps "
        f"{used.eps:g}; {together:.2f} of the confident pairs together"
    )
    write_artifact(
        out,
        CLUSTERS,
        {
            "labels": labels,
            "sizes": sizes,
            "number": cluster_numbers(labels, numbers, index, rows),
            "membership": membership(near, labels),
        },
        config=stage_settings(config, "cluster"),
        inputs=inputs,
        attributes={
            "eps": used.eps,
            "gamma": float("nan") if used.method == "dbscan" else used.gamma,
            "relation": "jaccard" if judgements is None else "judged",
            "independence": independence,
            "num_outliers": outliers,
            "confident_together": together,
            "cohesion": cohesion,
            "health": health_score(together, cohesion),
            **quality,
        },
    )


def _reliable(
    source: GraphLabels,
    labels: np.ndarray,
    settings: ClusterConfig,
    previous: Path | None,
    inputs: dict[str, str],
) -> tuple[np.ndarray, float]:
    """Return the labels that SpCL's criterion leaves, and its threshold; notes what it read."""
    threshold = None
    if previous is not None:
        before = read_artifact(previous, CLUSTERS)
        require_parent(before, "index", inputs["index"], previous)
        threshold = float(before.attributes["independence"])
        inputs["previous_clusters"] = before.digest
        if np.isnan(threshold):
            raise UserError(
                f"{previous} was made without cluster.self_paced. "
                "Make it again with `mprd cluster`."
            )
    source.require_stored(settings.eps + settings.eps_gap, "cluster.eps + eps_gap")
    gaps = (-settings.eps_gap, settings.eps_gap)
    tight, loose = (
        source.labels(settings.model_copy(update={"eps": settings.eps + gap}))[0] for gap in gaps
    )
    kept, threshold = self_paced(labels, tight, loose, threshold)
    if kept.max() < 1:
        raise UserError(
            f"cluster.self_paced leaves {kept.max() + 1} of {labels.max() + 1} clusters "
            f"({source.out}). Raise cluster.eps, or set self_paced to false."
        )
    return kept, threshold


def _kind(out: Path) -> str:
    """Return what the clusters of a file are called on the console."""
    return (
        "clusters by distance" if out.name == EpochLayout.provisional_clusters.name else "clusters"
    )


def _read_judgements(path: Path, graph: Artifact, settings: ClusterConfig) -> Artifact:
    """Read the relation GCN's predictions for the pairs of a graph.

    Raises:
        UserError: the settings do not ask for it, or it is on another graph.
    """
    if settings.relation != "judged":
        raise UserError(
            f"{path} holds judgements, but cluster.relation is {settings.relation}. Set it to "
            "judged, or leave out --judgements."
        )
    judged = read_artifact(path, JUDGEMENTS)
    require_parent(judged, "graph", graph.digest, graph.path)
    return judged


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
