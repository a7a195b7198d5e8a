"""The questions that a finished run raises."""

from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import CLUSTERS, GRAPH, INDEX, SPLITS, read_artifact
from mprd.clustering.of_pairs import cluster_pairs
from mprd.clustering.operating_point import confident_pairs
from mprd.clustering.stored import graph_distance, within
from mprd.config import Config, load_config, merge, validate
from mprd.data.cameras import name_cameras
from mprd.judging.session import Shown
from mprd.pairs.to_judge import pairs_to_judge
from mprd.pipeline.layout import RunLayout

# What the clusters of a run are compared with: the other method, on the same distances.
_OTHER = {
    "dbscan": {"method": "community", "gamma": "auto", "eps": 0.7, "min_size": 2},
    "community": {"method": "dbscan", "gamma": 0.1, "eps": 0.5, "min_samples": 2},
}


def questions(run: Path, count: int) -> list[Shown]:
    """Return the pairs of a finished run that are most worth judging.

    Args:
        run: its folder.
        count: most of them.

    Raises:
        UserError: the run is not finished.
    """
    layout = RunLayout(run)
    config = load_config(layout.config)
    clusters = read_artifact(layout.final.clusters, CLUSTERS)["labels"]
    graph = read_artifact(layout.final.graph, GRAPH)
    index = read_artifact(layout.index, INDEX)
    rows = np.flatnonzero(index["split"] == SPLITS.index("train"))
    distance = graph_distance(graph)
    confident = confident_pairs(graph["neighbors"], index["camera"][rows])
    other = _other_clusters(distance, confident, config)
    relation = csr_array(
        (1 - distance.data, distance.indices, distance.indptr), shape=distance.shape
    )
    found = pairs_to_judge(clusters, other, relation, count)
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


def _other_clusters(distance: csr_array, confident: np.ndarray, config: Config) -> np.ndarray:
    values = _OTHER.get(config.cluster.method, _OTHER["community"])
    other = validate(merge({}, {"cluster": values}), "the other clustering").cluster
    near = within(distance, distance.data <= other.eps)
    return cluster_pairs(near, confident, other)[0]
