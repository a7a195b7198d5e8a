"""Finer and coarser cuts, against a literal list of all cuts of a tree; stored trees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mprd
from mprd.artifacts import CLUSTERS, read_artifact, write_artifact
from mprd.clustering.cuts import Direction, neighboring_cut
from mprd.clustering.linkage import linkage_tree
from mprd.clustering.stored_tree import stored_tree, tree_arrays
from mprd.errors import UserError
from tests.artifacts.edit import edit, put
from tests.clustering.test_linkage import random_distances, sparse

GRAPHS = (st.integers(1, 40), st.floats(0.1, 1), st.integers(0, 2**32 - 1), st.sampled_from([0, 8]))


def write_clusters(path, arrays):
    count = len(arrays["tree_group"])
    plain = {
        "labels": np.full(count, -1, np.int32),
        "sizes": np.empty(0, np.int32),
        "number": np.empty(0, np.int32),
        "membership": np.zeros(count, np.float32),
    }
    attributes = dict.fromkeys(CLUSTERS.attributes, 0.5) | {"relation": "jaccard"}
    write_artifact(path, CLUSTERS, plain | arrays, config={}, inputs={}, attributes=attributes)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trees")


@settings(max_examples=40, deadline=None)
@given(*GRAPHS, st.floats(0, 0.999), st.integers(1, 5))
def test_a_cut_of_the_stored_tree_is_average_linkage(
    folder, count, stored, seed, levels, threshold, min_size
):
    distance = sparse(random_distances(count, stored, seed, levels))
    path = write_clusters(folder / "clusters.h5", tree_arrays(linkage_tree(distance)))
    found = stored_tree(read_artifact(path, CLUSTERS)).cut(threshold, min_size)
    np.testing.assert_array_equal(found, mprd.linkage(distance, threshold, min_size))


@settings(max_examples=150, deadline=None)
@given(*GRAPHS, st.floats(0, 0.999), st.integers(1, 4), st.sampled_from(Direction))
def test_a_finer_or_coarser_cut_is_its_definition(
    count, stored, seed, levels, threshold, min_size, direction
):
    tree = linkage_tree(sparse(random_distances(count, stored, seed, levels)))
    found = neighboring_cut(tree, threshold, min_size, direction)
    now = tree.cut(threshold, min_size)
    have = now.max() + 1
    finer = direction is Direction.FINER
    # All cuts on this side with other labels, the nearest first.
    heights = np.unique(np.append(tree.heights, 0.0))
    level = heights[heights <= threshold].max()
    side = heights[heights < level][::-1] if finer else heights[heights > level]
    others = [(h, tree.cut(h, min_size)) for h in side.tolist()]
    others = [(h, labels) for h, labels in others if not np.array_equal(labels, now)]
    if not others:
        assert found is None
        return
    labels = tree.cut(found, min_size)
    assert not np.array_equal(labels, now)
    assert (found < threshold) if finer else (found > threshold)
    counts = [other.max() + 1 for _, other in others]
    wanted = [10 * c >= 13 * have if finer else 13 * c <= 10 * have for c in counts]
    if any(wanted):
        np.testing.assert_array_equal(labels, others[wanted.index(True)][1])


def pairs_of_two(*distances):
    """Rows 0-1, 2-3, ... near each other; one pair for each distance."""
    dense = np.ones((2 * len(distances),) * 2, np.float32)
    for n, value in enumerate(distances):
        dense[2 * n, 2 * n + 1] = dense[2 * n + 1, 2 * n] = value
    return dense


def test_where_no_cut_has_so_many_clusters_merges_count():
    # All merges make a cluster of a pair, so no cut below has more than these ten.
    tree = linkage_tree(sparse(pairs_of_two(*np.arange(1, 11) / 16)))
    finer = neighboring_cut(tree, 0.7, 2, Direction.FINER)
    assert tree.cut(finer, 2).max() + 1 == 7
    assert neighboring_cut(tree, 0.7, 2, Direction.COARSER) is None
    coarser = neighboring_cut(tree, 0.26, 2, Direction.COARSER)  # four now
    assert tree.cut(coarser, 2).max() + 1 == 5


def test_merges_at_height_0_cannot_be_undone():
    tree = linkage_tree(sparse(pairs_of_two(0.0, 0.0, 0.5)))
    assert neighboring_cut(tree, 0.25, 1, Direction.FINER) is None
    found = neighboring_cut(tree, 0.6, 1, Direction.FINER)
    assert found == 0.25


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("tree_merges", [[0, 1], [1, 4]], "joins a cluster twice, or before it is made"),
        ("tree_merges", [[0, 5], [2, 4]], "joins a cluster twice, or before it is made"),
        ("tree_merges", [[1, 0], [2, 3]], "joins a cluster twice, or before it is made"),
        ("tree_heights", [0.5, 0.25], "do not ascend"),
        ("tree_heights", [0.5, 1.5], "above 1"),
        ("tree_group", [1, 0, 2, 3], "not numbered by the first image"),
        ("tree_group", [0, 1, 3, 3], "not numbered by the first image"),
    ],
)
def test_a_tree_that_cannot_be_is_refused(tmp_path, key, values, message):
    arrays = tree_arrays(linkage_tree(sparse(pairs_of_two(0.25, 0.5))))
    wrong = np.array(values, arrays[key].dtype)
    with pytest.raises(ValueError, match=message):
        write_clusters(tmp_path / "c.h5", arrays | {key: wrong})
    path = write_clusters(tmp_path / "c.h5", arrays)
    edit(path, put(key, wrong))
    with pytest.raises(UserError, match=rf"c\.h5.*{message}.*mprd cluster"):
        stored_tree(read_artifact(path, CLUSTERS))


def test_part_of_a_tree_is_none(tmp_path):
    path = write_clusters(
        tmp_path / "c.h5", tree_arrays(linkage_tree(sparse(pairs_of_two(0.25, 0.5))))
    )
    edit(path, lambda file: file.__delitem__("tree_heights"))
    with pytest.raises(UserError, match="some are missing"):
        stored_tree(read_artifact(path, CLUSTERS))
