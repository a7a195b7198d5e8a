"""The distances of a stored graph, as clusterings read them."""

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import Artifact
from mprd.errors import UserError, how_to_fix


def graph_distance(graph: Artifact) -> csr_array:
    """Return the Jaccard distances of `graph.h5`, float32 (N, N).

    Raises:
        UserError: they are not a symmetric matrix of sorted rows.
    """
    return _matrix(graph, graph["data"], graph)


def judged_distance(graph: Artifact, judgements: Artifact) -> csr_array:
    """Return 1 - p of the stored pairs of a graph, float32 (N, N).

    Args:
        graph: `graph.h5`.
        judgements: `judgements.h5` of this graph.

    Raises:
        UserError: as `graph_distance`.
    """
    return _matrix(graph, 1 - judgements["probability"], judgements)


def _matrix(graph: Artifact, data: np.ndarray, source: Artifact) -> csr_array:
    """Return values of the stored pairs as a matrix, checked."""
    indptr, indices = graph["indptr"], graph["indices"]
    count = len(indptr) - 1
    rows_fit = indptr[0] == 0 and indptr[-1] == len(indices) and (np.diff(indptr) >= 0).all()
    if rows_fit:
        ascends = np.diff(indices) > 0
        ends = indptr[1:-1] - 1  # between the last entry of a row and the first of the next
        ascends[ends[(ends >= 0) & (ends < len(ascends))]] = True
        rows_fit = bool(ascends.all())
    if not rows_fit:
        raise UserError(
            f"{graph.path}: indptr and indices are no rows of ascending columns. "
            f"{how_to_fix(graph.path, graph.schema.command)}"
        )
    matrix = csr_array((data, indices, indptr), shape=(count, count))
    mirrored = matrix.T.tocsr()
    pairs = (mirrored.indptr, indptr), (mirrored.indices, indices), (mirrored.data, data)
    if not all(np.array_equal(one, other) for one, other in pairs):
        raise UserError(
            f"{source.path}: the pairs are not symmetric. "
            f"{how_to_fix(source.path, source.schema.command)}"
        )
    return matrix


def relation_of(distance: csr_array) -> csr_array:
    """Return 1 - distance of the stored pairs, those of distance 1 stay stored."""
    return csr_array((1 - distance.data, distance.indices, distance.indptr), shape=distance.shape)


def within(distance: csr_array, chosen: np.ndarray) -> csr_array:
    """Return the chosen entries of a matrix, those of distance 0 too.

    Args:
        distance: (N, N).
        chosen: bool (nnz,), in the order of its entries.
    """
    if chosen.all():
        return distance
    before = np.concatenate([[0], np.cumsum(chosen)])
    return csr_array(
        (distance.data[chosen], distance.indices[chosen], before[distance.indptr]),
        shape=distance.shape,
    )
