"""Stages `cluster` and `draft`: pseudo-labels, and the provisional clusters by distance."""

from pathlib import Path

import numpy as np

from mprd.artifacts import (
    CLUSTERS,
    GRAPH,
    INDEX,
    JUDGEMENTS,
    TRANSITIONS,
    Artifact,
    write_artifact,
)
from mprd.clustering.agreement import pair_quality
from mprd.clustering.from_pairs import counted_pairs
from mprd.clustering.graph_matrix import graph_distance, judged_distance, relation_of
from mprd.clustering.health import health_score
from mprd.clustering.membership import membership
from mprd.clustering.operating_point import confident_pairs, share_together
from mprd.clustering.self_paced import self_paced
from mprd.clustering.sides import Sides
from mprd.clustering.stored_tree import tree_arrays
from mprd.clustering.tracks import TrackGroups
from mprd.clustering.widen_eps import GraphLabels, cluster_widening_eps, operating_point
from mprd.config import ClusterConfig, Config
from mprd.data.added import added_paths
from mprd.data.index import side_codes, split_rows
from mprd.decisions.decided import read_decided
from mprd.decisions.reading import time_read
from mprd.errors import UserError, many
from mprd.evidence.fusion import compared_distances
from mprd.pipeline.conditions import COMMUNITY, LINKAGE, RADIUS
from mprd.pipeline.files import require_given
from mprd.pipeline.layout import FinalLayout, StepLayout, log_prefix
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import Sizes, require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.cluster_inputs import earlier_numbers, known_as
from mprd.stages.exclusive import exclusive

PROVISIONAL_GAMMA = 0.05


@exclusive
def run_cluster(
    *,
    index: Path,
    graph: Path,
    out: Path,
    config: Config,
    judgements: Path | None = None,
    transitions: Path | None = None,
    previous_clusters: Path | None = None,
    final: bool = False,
    decisions: Path | None = None,
) -> None:
    """Write the pseudo-labels of the training images.

    Where identities are known, agreement with them is recorded, for the eye only.

    Args:
        index: `index.h5`.
        graph: `graph.h5` of the training features.
        out: `clusters.h5` to write.
        config: the `cluster` section is read.
        judgements: `judgements.h5` of the graph, which give the distances of pairs; None: Jaccard
            distances. If the config asks for judged clusters, those by Jaccard distance are
            provisional. Their gamma is always 0.05: in strict ones the GCN would find no doubts to
            learn from.
        transitions: `transitions.h5` of the graph (`use_time`): it corrects the distances.
        previous_clusters: `clusters.h5` of the epoch before, whose threshold of independence goes
            on (`cluster.self_paced`); None: a first epoch, which sets it.
        final: not for training: keep the members that `cluster.self_paced` would drop, write fewer
            than two clusters, too, and keep earlier numbers: those of `export.numbers`, else of
            the `clusters.csv` beside `out`, which the export will replace.
        decisions: `decisions.csv` of the run, which holds in the final clusters.

    Raises:
        UserError: eps above what the graph stores; fewer than two clusters found; too little
            memory; `export.numbers` is no table of clusters.
    """
    provisional = judgements is None and config.uses_judgements
    name = "draft" if provisional else "cluster"
    earlier = None
    if final and not provisional:  # a mistake in the table is told now, not at the end
        earlier = earlier_numbers(config.export.numbers, FinalLayout(out.parent))
    lineage, settings = Lineage(name), config.cluster
    if provisional:
        settings = settings.model_copy(update={"gamma": PROVISIONAL_GAMMA})
    given = settings.constraints if _constrained(final, provisional, settings) else None
    log = decisions if final and not provisional else None
    began = None if log is None else time_read(log)
    named = earlier is not None or given is not None or log is not None
    keys = ("split", "identity", "camera", "track", "side", *(("path",) if named else ()))
    images = lineage.read("index", index, INDEX, keys)
    rows = split_rows(images, "train")
    cameras, paths = images["camera"][rows], images["path"][rows] if named else None
    neighbors = lineage.read("graph", graph, GRAPH, ("neighbors", "indptr", "indices", "data"))
    _require_rows(len(neighbors["indptr"]) - 1, len(rows), graph, index)
    tracks = TrackGroups.of_tracks(images["track"][rows])
    sides = Sides.of_tracks(side_codes(images, rows), tracks)
    source = _pairs(
        lineage, neighbors, tracks, sides, cameras, config, judgements, transitions, out=out
    )
    labels, used = cluster_widening_eps(source, settings, training=not final)
    independence = float("nan")
    if not final and used.self_paced:
        labels, independence = _reliable(source, labels, used, lineage, previous_clusters)
    near = counted_pairs(source.distance, source.radius, used)
    base, tree = labels[tracks.group], source.tree if used.method == "linkage" else None
    added = [] if log is None else added_paths(FinalLayout(out.parent))
    decided = None
    if paths is not None:
        decided = read_decided(given, log, paths, tracks, added, labels=base)
    if decided is not None and used.method == "linkage":
        labels, tree = decided.linked(source.distance, used, sides)
    elif decided is not None:
        labels = decided.hold(labels, relation_of(near))
    if decided is not None and given is not None:
        _require_two(labels, given, out, training=not final)
    trust = membership(near, labels, tracks.sizes)
    together = share_together(labels, source.confident)
    cohesion = float(membership(source.jaccard, labels, tracks.sizes)[tracks.group].mean())
    labels = labels[tracks.group]
    sizes, outliers = np.bincount(labels[labels >= 0]).astype(np.int32), int((labels < 0).sum())
    print(
        f"{log_prefix(out)}{len(sizes)} {_kind(out)}, {many(outliers, 'outlier')} of "
        f"{many(len(labels), 'image')} "
        f"at {operating_point(used)}; {together:.2f} of the confident pairs together"
    )
    write_artifact(
        out,
        CLUSTERS,
        {
            "labels": labels,
            "sizes": sizes,
            **known_as(labels, base, decided, earlier, paths, FinalLayout(out.parent)),
            "membership": trust[tracks.group],
            **({} if tree is None else tree_arrays(tree)),
        },
        config=stage_settings(config, name, final=final),
        inputs={**source.graph.inputs, **lineage.digests},
        created=began,
        attributes={
            "eps": used.eps if RADIUS.holds(config) else float("nan"),
            "gamma": used.gamma if COMMUNITY.holds(config) else float("nan"),
            "threshold": used.threshold if LINKAGE.holds(config) else float("nan"),
            "relation": "jaccard" if judgements is None else "judged",
            "independence": independence,
            "num_outliers": outliers,
            "confident_together": together,
            "cohesion": cohesion,
            "health": health_score(together, cohesion),
            **_quality(labels, images["identity"][rows], cameras),
        },
    )


def _constrained(final: bool, provisional: bool, settings: ClusterConfig) -> bool:
    """Tell whether the decisions that a config names hold in these clusters."""
    return settings.constrain_training or (final and not provisional)


def _pairs(
    lineage: Lineage,
    neighbors: Artifact,
    tracks: TrackGroups,
    sides: Sides,
    cameras: np.ndarray,
    config: Config,
    judgements: Path | None,
    transitions: Path | None,
    *,
    out: Path,
) -> GraphLabels:
    """Return the stored pairs, of tracks, with all that is known of them.

    Args:
        lineage: of the stage, with index and graph.
        neighbors: `graph.h5`.
        tracks: images that share a place in it.
        sides: that the tracks show: pairs of two sides are left out.
        cameras: int (N,), of the training images.
        config: of the run.
        judgements: `judgements.h5`, or None.
        transitions: `transitions.h5`, or None.
        out: the file that the labels are for.
    """
    sizes = Sizes(
        images=len(neighbors["indptr"]) - 1,
        stored=len(neighbors["indices"]),
        neighbors=neighbors["neighbors"].shape[1],
    )
    require_memory("cluster", sizes, config)
    judged = evidence = None
    if judgements is not None:
        require_given("cluster", {"judgements": judgements}, config)
        judged = judged_distance(neighbors, lineage.read("judgements", judgements, JUDGEMENTS))
        judged = tracks.between(judged)
    require_given(lineage.name, {"transitions": transitions}, config)
    if transitions is not None:
        evidence = lineage.read("transitions", transitions, TRANSITIONS, ("evidence",))["evidence"]
    jaccard = tracks.between(graph_distance(neighbors))
    distance, near_by = compared_distances(jaccard, judged, evidence, config.time)
    lists = tracks.between_lists(neighbors["neighbors"])
    confident = confident_pairs(lists, cameras[tracks.first])
    confident = confident[~sides.apart(confident[:, 0], confident[:, 1])]
    jaccard, distance, near_by = map(sides.between, (jaccard, distance, near_by))
    return GraphLabels(neighbors, tracks, sides, jaccard, distance, near_by.data, confident, out)


def _require_rows(stored: int, listed: int, graph: Path, index: Path) -> None:
    if stored != listed:
        raise UserError(
            f"{graph} covers {many(stored, 'image')}, the train split of {index} has {listed}. "
            "Make the features of the train split with `mprd features`."
        )


def _require_two(labels: np.ndarray, answers: Path, out: Path, *, training: bool) -> None:
    """Check that a person's answers leave enough clusters for training."""
    if training and labels.max() < 1:
        raise UserError(
            f"The answers in {answers} leave {labels.max() + 1} of the clusters, "
            f"training needs two ({out}). Correct them, or leave them out."
        )


def _reliable(
    source: GraphLabels,
    labels: np.ndarray,
    settings: ClusterConfig,
    lineage: Lineage,
    previous: Path | None,
) -> tuple[np.ndarray, float]:
    """Return the labels that SpCL's criterion leaves, and its threshold."""
    threshold = None
    if previous is not None:
        before = lineage.read("previous_clusters", previous, CLUSTERS)
        threshold = float(before.attributes["independence"])
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
    provisional = out.name == StepLayout.provisional_clusters.name
    return "clusters by distance" if provisional else "clusters"


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
