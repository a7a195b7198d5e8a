"""The questions that a finished run raises."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import CLUSTERS, GRAPH, INDEX, JUDGEMENTS, read_artifact
from mprd.clustering.from_pairs import cluster_pairs, counted_pairs
from mprd.clustering.graph_matrix import graph_distance, judged_distance, relation_of
from mprd.config import load_config, validate
from mprd.data.index import name_cameras, split_rows
from mprd.judging.session import Shown
from mprd.pairs.to_judge import pairs_to_judge
from mprd.pipeline.layout import run_of

# Stricter and more generous clusterings that those of a run are compared with.
_EPS = (0.4, 0.5, 0.6)
_GAMMAS = (0.02, 0.1, 0.3, 0.5)
_JUDGED_GAMMAS = (0.05, 0.2, 0.5, 0.7)


def questions(run: Path, count: int) -> list[Shown]:
    """Return the pairs of a finished run that are most worth judging.

    Args:
        run: its folder.
        count: most of them.

    Raises:
        UserError: the run is not finished.
    """
    layout = run_of(run)
    config = load_config(layout.config)
    clusters = read_artifact(layout.final.clusters, CLUSTERS)["labels"]
    graph = read_artifact(layout.final.graph, GRAPH)
    index = read_artifact(layout.index, INDEX)
    rows = split_rows(index, "train")
    distance = graph_distance(graph)
    others = [_clusters(distance, method="dbscan", eps=eps, min_samples=2) for eps in _EPS]
    others += [_clusters(distance, method="community", gamma=gamma) for gamma in _GAMMAS]
    if config.uses_judgements:
        judged = judged_distance(graph, read_artifact(layout.final.judgements, JUDGEMENTS))
        others += [_clusters(judged, method="community", gamma=g) for g in _JUDGED_GAMMAS]
    found = pairs_to_judge(clusters, others, relation_of(distance), count)
    cameras = name_cameras(index, rows)
    return [
        Shown(
            paths=(str(index["path"][rows[q.a]]), str(index["path"][rows[q.b]])),
            cameras=(str(cameras[q.a]), str(cameras[q.b])),
            rows=(int(rows[q.a]), int(rows[q.b])),
            moves=q.moves,
        )
        for q in found
    ]


def _clusters(distance: csr_array, **settings: Any) -> np.ndarray:
    """Return a clustering by these settings."""
    values = {"eps": 0.7, "min_size": 2} | settings
    chosen = validate({"cluster": values, "graph": {"eps_max": 0.9}}, "a comparison").cluster
    near = counted_pairs(distance, distance.data, chosen)
    return cluster_pairs(near, np.empty((0, 2), np.int64), chosen)[0]
