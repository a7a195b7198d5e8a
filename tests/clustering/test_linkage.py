"""Average linkage against scipy's on the dense matrix, and a literal loop where distances tie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as dense_linkage
from scipy.sparse import csr_array
from scipy.spatial.distance import squareform

from mprd.clustering.kin import kin_of
from mprd.clustering.linkage import _between, _merge, linkage, linkage_tree


def random_distances(count, stored, seed, levels=0):
    """Dense symmetric distances; some pairs are missing, which is distance 1."""
    rng = np.random.default_rng(seed)
    values = (
        rng.integers(0, levels, (count, count)) / levels if levels else rng.random((count,) * 2)
    )
    dense = np.triu(np.where(rng.random((count, count)) < stored, values, 1), 1)
    return (dense + dense.T).astype(np.float32)


def sparse(dense):
    """The pairs below 1, the diagonal too, as the graph stores them."""
    rows, columns = np.nonzero(dense < 1)
    return csr_array((dense[rows, columns], (rows, columns)), shape=dense.shape)


def same_partition(a, b):
    return bool(((a[:, None] == a) == (b[:, None] == b)).all())


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.floats(0, 1), st.integers(0, 2**32 - 1), st.floats(0.05, 0.99))
def test_equals_scipy_on_the_dense_matrix(count, stored, seed, threshold):
    dense = random_distances(count, stored, seed)
    tree = dense_linkage(squareform(dense.astype(np.float64)), "average")
    heights = tree[:, 2]
    if (np.abs(heights - threshold) < 1e-6).any():  # rounding would decide
        return
    found = linkage(sparse(dense), threshold)
    assert same_partition(found, fcluster(tree, threshold, "distance"))
    steps = linkage_tree(sparse(dense))
    below = heights < 1 - 1e-9
    np.testing.assert_allclose(steps.heights, np.sort(heights[below]), atol=1e-6)


def literal(dense, group=None):
    """Greedy merges: mean distance, then the smaller number, then the other number."""
    count = len(dense)
    group = np.arange(count) if group is None else group
    clusters = {int(g): np.flatnonzero(group == g) for g in np.unique(group)}
    merges, heights, following = [], [], len(clusters)
    while True:
        found = [
            (dense[np.ix_(clusters[a], clusters[b])].astype(np.float64).mean(), a, b)
            for a in clusters
            for b in clusters
            if a < b
        ]
        found = [one for one in found if one[0] < 1]
        if not found:
            return np.array(merges).reshape(-1, 2), np.array(heights)
        height, a, b = min(found)
        clusters[following] = np.concatenate([clusters.pop(a), clusters.pop(b)])
        merges.append((a, b))
        heights.append(height)
        following += 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.floats(0.2, 1), st.integers(0, 2**32 - 1))
def test_ties_go_by_number(count, stored, seed):
    # Multiples of 1/8 in clusters of 1, 2, 4 and 8 rows: sums and means are exact.
    dense = random_distances(count, stored, seed, levels=8)
    merges, heights = literal(dense)
    sizes = [1] * count
    for a, b in merges:
        sizes.append(sizes[a] + sizes[b])
    tree = linkage_tree(sparse(dense))
    exact = all(size & (size - 1) == 0 for size in sizes[:-1])
    if exact:
        assert tree.merges.tolist() == merges.tolist()
    np.testing.assert_allclose(tree.heights, heights, atol=1e-12)


def test_all_equal_distances_join_in_the_order_of_numbers():
    dense = np.full((4, 4), 0.5, np.float32)
    np.fill_diagonal(dense, 0)
    tree = linkage_tree(sparse(dense))
    assert tree.merges.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert tree.heights.tolist() == [0.5, 0.5, 0.5]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_groups_begin_as_one_cluster(count, stored, seed):
    dense = random_distances(count, stored, seed)
    group = np.random.default_rng(seed).integers(0, 6, count)
    numbered = {g: n for n, g in enumerate(dict.fromkeys(group.tolist()))}
    group = np.array([numbered[g] for g in group.tolist()])
    tree = linkage_tree(sparse(dense), group=group)
    merges, heights = literal(dense, group)
    np.testing.assert_allclose(tree.heights, heights, atol=1e-6)
    assert tree.merges.tolist() == merges.tolist()
    labels = tree.cut(0.0)
    assert all(len(np.unique(labels[group == g])) == 1 for g in np.unique(group))


def test_a_higher_cut_joins_whole_clusters():
    tree = linkage_tree(sparse(random_distances(60, 0.3, 5)))
    finer = tree.cut(0.7)
    for threshold in (0.8, 0.9, 0.99):
        coarser = tree.cut(threshold)
        pairs = np.unique(np.stack([finer, coarser]), axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1], "no finer cluster is split"
        finer = coarser


def test_a_tree_up_to_a_height_is_the_first_part_of_the_whole():
    matrix = sparse(random_distances(50, 0.4, 6))
    whole, part = linkage_tree(matrix), linkage_tree(matrix, 0.8)
    steps = len(part.heights)
    assert 0 < steps < len(whole.heights)
    assert part.heights[-1] <= 0.8 < whole.heights[steps]
    np.testing.assert_array_equal(part.merges, whole.merges[:steps])


def test_numbers_and_small_clusters():
    dense = np.ones((5, 5), np.float32)
    for a, b in ((1, 3), (3, 4), (1, 4), (0, 2)):
        dense[a, b] = dense[b, a] = 0.25
    np.fill_diagonal(dense, 0)
    assert linkage(sparse(dense), 0.5).tolist() == [0, 1, 0, 1, 1]
    assert linkage(sparse(dense), 0.5, 3).tolist() == [-1, 0, -1, 0, 0]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_nothing_near(count):
    empty = csr_array((count, count), dtype=np.float32)
    assert linkage(empty, 0.9).tolist() == list(range(count))
    assert linkage(empty, 0.9, 2).tolist() == [-1] * count
    assert len(linkage_tree(empty).heights) == 0


@pytest.mark.parametrize(
    ("matrix", "arguments", "message"),
    [
        (csr_array(np.full((2, 2), 1.5, np.float32)), (0.5,), "at most 1"),
        (csr_array((2, 3), dtype=np.float32), (0.5,), "square"),
        (csr_array((2, 2), dtype=np.float32), (1.0,), "below 1"),
        (csr_array((2, 2), dtype=np.float32), (0.5, 0), "at least 1"),
    ],
)
def test_bad_input(matrix, arguments, message):
    with pytest.raises(ValueError, match=message):
        linkage(matrix, *arguments)


def test_groups_of_another_length_are_refused():
    with pytest.raises(ValueError, match="group must be"):
        linkage_tree(csr_array((3, 3), dtype=np.float32), group=np.zeros(2, np.int64))


def test_the_last_entry_of_the_last_list_is_read():
    """Three in a row: the only neighbour of the last is the one before."""
    distance = csr_array(([0.2, 0.2, 0.4, 0.4], ([0, 1, 1, 2], [1, 0, 2, 1])), shape=(3, 3))
    tree = linkage_tree(distance)
    assert tree.merges.tolist() == [[0, 1], [2, 3]]
    assert tree.heights.shape == (2,)
    np.testing.assert_allclose(tree.heights, [0.2, 0.7])


def test_nothing_to_join():
    for count in (0, 1, 3):
        tree = linkage_tree(csr_array((count, count)))
        assert tree.merges.shape == (0, 2)
        assert tree.heights.shape == (0,)
        assert tree.cut(0.5).tolist() == list(range(count))


def test_no_index_is_out_of_bounds():
    """Compiled code would read and write beyond an array without a word; Python does not."""
    distance = csr_array(([0.2, 0.2, 0.4, 0.4], ([0, 1, 1, 2], [1, 0, 2, 1])), shape=(3, 3))
    between = _between(distance, np.arange(3), 3)
    free, free_side = kin_of(np.arange(3), None), np.full(3, -1)
    given = (
        between.indptr,
        between.indices,
        between.data,
        np.ones(3, np.int64),
        free_side,
        0.0,
        *free,
    )
    merges, heights = _merge.py_func(*given)
    compiled = _merge(*given)
    assert merges.tolist() == compiled[0].tolist() == [[0, 1], [2, 3]]
    np.testing.assert_array_equal(heights, compiled[1])


def test_a_stored_distance_of_one_joins_nobody():
    distance = csr_array(([1.0, 1.0, 0.5, 0.5], ([0, 1, 1, 2], [1, 0, 2, 1])), shape=(3, 3))
    assert linkage_tree(distance).merges.tolist() == [[1, 2]]
