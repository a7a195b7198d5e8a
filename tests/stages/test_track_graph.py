"""Stages with tracks: frames of one track are one sighting."""

import numpy as np
import pytest
from scipy.sparse import csr_array

import mprd
from mprd.artifacts import CLUSTERS, FEATURES, GRAPH, read_artifact
from mprd.clustering.from_pairs import cluster_pairs, counted_pairs
from mprd.clustering.tracks import TrackGroups
from mprd.errors import UserError
from mprd.pipeline.layout import RunLayout
from mprd.stages.cluster import run_cluster
from mprd.stages.graph import run_graph
from mprd.stages.run_stage import run_stage
from tests.artifacts.edit import edit, put
from tests.stages.pipeline import changed, start


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory, tiny_config):
    """Index, pixels and the features of the initial model."""
    run = RunLayout(tmp_path_factory.mktemp("tracks") / "run")
    start(run.folder, tiny_config)
    run_stage("features", run, tiny_config, step=1)
    return run


METHODS = {
    "dbscan": {"method": "dbscan", "eps": 0.6, "min_samples": 2},
    "linkage": {"method": "linkage", "threshold": 0.8, "min_size": 3},
    "community": {"method": "community", "eps": 0.7, "gamma": 0.05, "min_size": 3},
}


@pytest.mark.parametrize("name", METHODS)
def test_copies_in_a_track_change_nothing(tiny_run, tiny_config, tmp_path, name):
    """18 images three times each, as tracks: lists, pairs and clusters are those of 18 images."""
    config = changed(tiny_config, cluster=METHODS[name], graph={"cameras": "none", "eps_max": 0.97})
    index = tmp_path / "index.h5"
    features = read_artifact(tiny_run.epoch(1).features, FEATURES)["features"]
    chosen = np.arange(0, 54, 3)
    copies = features[np.repeat(chosen, 3)]
    tracks = np.append(np.repeat(np.arange(18), 3), np.full(27, -1)).astype(np.int32)
    index.write_bytes(tiny_run.index.read_bytes())
    stored = tmp_path / "features.h5"
    stored.write_bytes(tiny_run.epoch(1).features.read_bytes())
    edit(index, put("track", tracks))
    edit(stored, put("features", copies))
    graph, out = tmp_path / "graph.h5", tmp_path / "clusters.h5"
    run_graph(index=index, features=stored, out=graph, config=config)
    found = read_artifact(graph, GRAPH)
    neighbors = mprd.knn(copies[::3], 18)[1]
    width = found["neighbors"].shape[1]
    np.testing.assert_array_equal(found["neighbors"][::3, 1:], 3 * neighbors[:, 1:width])
    literal = mprd.jaccard_distance(
        copies[::3], neighbors[:, :width], config.graph.k1, config.graph.k2, config.graph.eps_max
    )
    between = TrackGroups.of_tracks(tracks[:54]).between(
        csr_array((found["data"], found["indices"], found["indptr"]), shape=(54, 54))
    )
    np.testing.assert_allclose(between.toarray(), literal.toarray(), atol=1e-6)
    run_cluster(index=index, graph=graph, out=out, config=config, final=True)
    labels = read_artifact(out, CLUSTERS)["labels"]
    np.testing.assert_array_equal(labels[::3], labels[1::3])
    np.testing.assert_array_equal(labels[::3], labels[2::3])
    one = config.cluster.model_copy(update={"min_size": 1})
    pairs = np.zeros((0, 2), np.int64)
    expected = cluster_pairs(counted_pairs(between, between.data, one), pairs, one)[0]
    np.testing.assert_array_equal(labels[::3], expected)  # three images a row: none too small


def test_one_track_is_no_graph(tiny_run, tiny_config, tmp_path):
    index = tmp_path / "index.h5"
    index.write_bytes(tiny_run.index.read_bytes())
    edit(index, put("track", np.zeros(81, np.int32)))
    with pytest.raises(UserError, match="are of one track; a graph needs two tracks"):
        run_graph(
            index=index,
            features=tiny_run.epoch(1).features,
            out=tmp_path / "graph.h5",
            config=tiny_config,
        )
