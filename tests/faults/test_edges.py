"""Every public function refuses what is no feature, distance or label, and says where."""

import numpy as np
import pytest
from scipy.sparse import csr_array

import mprd
from mprd.config import Config
from mprd.errors import UserError

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(40, 8)).astype(np.float32)
FEATURES /= np.linalg.norm(FEATURES, axis=1, keepdims=True)
IDS, CAMERAS = np.repeat(np.arange(10), 4), np.tile(np.arange(4), 10)
OTHER_IDS = np.arange(40) // 2
TIMES = RNG.random(40)
_, NEIGHBORS = mprd.knn(FEATURES, 10)
DISTANCE = mprd.jaccard_distance(FEATURES, NEIGHBORS, k1=8, k2=2)

# What each function makes of features that may be bad.
OF_FEATURES = {
    "knn": lambda f: mprd.knn(f, 5),
    "approximate_knn": lambda f: mprd.approximate_knn(f, 5),
    "jaccard_distance": lambda f: mprd.jaccard_distance(f, NEIGHBORS, k1=8, k2=2),
    "center_cameras": lambda f: mprd.center_cameras(f, CAMERAS),
    "standardize_cameras": lambda f: mprd.standardize_cameras(f, CAMERAS),
    "rerank": lambda f: mprd.rerank(f, FEATURES),
    "rerank, gallery": lambda f: mprd.rerank(FEATURES, f),
    "search": lambda f: mprd.search(f, FEATURES, 5),
    "search, gallery": lambda f: mprd.search(FEATURES, f, 5),
    "evaluate": lambda f: mprd.evaluate(f, IDS, CAMERAS, FEATURES, IDS, CAMERAS),
    "evaluate, gallery": lambda f: mprd.evaluate(FEATURES, IDS, CAMERAS, f, IDS, CAMERAS),
    "cluster_features": lambda f: mprd.cluster_features(f, Config()),
    "audit_pairs": lambda f: mprd.audit_pairs(IDS, f),
    "comparison_pairs": lambda f: mprd.comparison_pairs(IDS, OTHER_IDS, f),
}
OF_DISTANCES = {
    "dbscan": lambda d: mprd.dbscan(d, 0.5, 2),
    "linkage": lambda d: mprd.linkage(d, 0.5),
    "linkage_tree": lambda d: mprd.linkage_tree(d),
    "learn_transitions": lambda d: mprd.learn_transitions(TIMES, CAMERAS, d),
    "cluster_health": lambda d: mprd.cluster_health(d, IDS, NEIGHBORS, CAMERAS),
}
# Functions of labels, identities or cameras, 40 of them.
OF_INTEGERS = {
    "pair_quality, labels": lambda v: mprd.pair_quality(v, IDS),
    "pair_quality, identities": lambda v: mprd.pair_quality(IDS, v),
    "pair_quality, cameras": lambda v: mprd.pair_quality(IDS, IDS, v),
    "center_cameras": lambda v: mprd.center_cameras(FEATURES, v),
    "audit_pairs, labels": lambda v: mprd.audit_pairs(v, FEATURES),
    "audit_pairs, tracks": lambda v: mprd.audit_pairs(IDS // 2, FEATURES, tracks=v),
    "audit_pairs, sides": lambda v: mprd.audit_pairs(IDS, FEATURES, sides=v),
    "comparison_pairs, first": lambda v: mprd.comparison_pairs(v, OTHER_IDS, FEATURES),
    "comparison_pairs, second": lambda v: mprd.comparison_pairs(OTHER_IDS, v, FEATURES),
    "comparison_pairs, sides": lambda v: mprd.comparison_pairs(IDS, OTHER_IDS, FEATURES, sides=v),
    "count_sample, tracks": lambda v: mprd.count_sample(IDS - 1, tracks=v),
    "units_of, tracks": lambda v: mprd.units_of(IDS - 1, v),
    "linkage_tree, sides": lambda v: mprd.linkage_tree(DISTANCE, sides=v),
    "linkage_tree, group": lambda v: mprd.linkage_tree(DISTANCE, group=v),
    "learn_transitions, cameras": lambda v: mprd.learn_transitions(TIMES, v, DISTANCE),
    "cluster_health, labels": lambda v: mprd.cluster_health(DISTANCE, v, NEIGHBORS, CAMERAS),
    "cluster_health, cameras": lambda v: mprd.cluster_health(DISTANCE, IDS, NEIGHBORS, v),
    "evaluate, ids": lambda v: mprd.evaluate(FEATURES, v, CAMERAS, FEATURES, IDS, CAMERAS),
    "evaluate, cameras": lambda v: mprd.evaluate(FEATURES, IDS, CAMERAS, FEATURES, IDS, v),
}


def test_nothing_public_is_forgotten():
    """Functions of `mprd` that take arrays; the others take files, whose checks are elsewhere."""
    asked = {name.partition(",")[0] for name in (*OF_FEATURES, *OF_DISTANCES, *OF_INTEGERS)}
    takes_files = {"image_paths", "load_model", "sightings"}
    below = {
        "audit_estimate",
        "comparison_estimate",
        "time_evidence",
        "count_estimate",
        "unit_value",
    }
    functions = {
        name for name in mprd.__all__ if callable(getattr(mprd, name)) and name[0].islower()
    }
    assert functions == asked | takes_files | below


@pytest.mark.parametrize("name", OF_FEATURES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite(name, value):
    features = FEATURES.copy()
    features[7, 2] = value
    with pytest.raises((ValueError, UserError), match=r"(?i)row 7\b"):
        OF_FEATURES[name](features)


@pytest.mark.parametrize("name", OF_FEATURES)
@pytest.mark.parametrize("shape", [(40,), (40, 2, 4)])
def test_features_of_another_shape(name, shape):
    features = np.zeros(shape, np.float32)
    with pytest.raises((ValueError, UserError), match=r"\(N, D\)"):
        OF_FEATURES[name](features)


@pytest.mark.parametrize("name", OF_DISTANCES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
def test_distances_that_are_none(name, value):
    bad = DISTANCE.copy()
    bad.data[bad.indptr[5]] = value
    with pytest.raises(ValueError, match="first in row 5"):
        OF_DISTANCES[name](bad)


@pytest.mark.parametrize("name", OF_DISTANCES)
@pytest.mark.parametrize("matrix", [np.eye(40), csr_array((40, 39)), DISTANCE.tocsc()])
def test_no_matrix_of_distances(name, matrix):
    with pytest.raises(ValueError, match=r"must be a square scipy\.sparse\.csr_array"):
        OF_DISTANCES[name](matrix)


def test_a_distance_to_rank_by():
    distance = np.ones((40, 40))
    distance[3, 9] = np.nan
    with pytest.raises(ValueError, match="first in row 3"):
        mprd.evaluate(FEATURES, IDS, CAMERAS, FEATURES, IDS, CAMERAS, distance=distance)


@pytest.mark.parametrize("name", OF_INTEGERS)
def test_integers_that_are_none(name):
    function = OF_INTEGERS[name]
    function(IDS.astype(float))  # whole numbers, as pandas stores them beside gaps
    for bad in (IDS + 0.5, np.full(40, np.nan), np.array(["a"] * 40)):
        with pytest.raises(ValueError, match="must be whole numbers"):
            function(bad)
    for bad in (IDS[:39], IDS[:, None]):
        with pytest.raises(ValueError, match=r"must be \(\d+,\), not"):
            function(bad)


def test_answers_that_are_none():
    drawn = mprd.audit_pairs(IDS, FEATURES, 20)
    count = len(drawn.pairs)
    for bad in (np.full(count, 2), np.ones(count - 1, int), np.full(count, 0.5)):
        with pytest.raises(ValueError, match="to each of the 20 pairs"):
            mprd.audit_estimate(drawn, bad)


def test_times_and_cameras_that_do_not_fit():
    found = mprd.learn_transitions(TIMES, CAMERAS, DISTANCE)
    with pytest.raises(ValueError, match="broadcast"):
        mprd.time_evidence(found, TIMES, CAMERAS, TIMES[:39], CAMERAS)
    unknown = mprd.time_evidence(found, np.full(40, np.nan), CAMERAS, TIMES, CAMERAS)
    assert (unknown == 0).all()
    assert (mprd.time_evidence(found, TIMES, CAMERAS - 10, TIMES, CAMERAS) == 0).all()
