"""The distances of a stored graph, as clusterings read them."""

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import Artifact
from mprd.artifacts.declaration import NOT_ROWS, rows_ascend
from mprd.errors import UserError, how_to_fix


def graph_distance(graph: Artifact) -> csr_array:
    """Return the Jaccard distances of `graph.h5`, float32 (N, N).

    Raises:
        UserError: they are no rows of ascending columns.
    """
    return _matrix(graph, graph["data"])


def judged_distance(graph: Artifact, judgements: Artifact) -> csr_array:
    """Return 1 - p of the stored pairs of a graph, float32 (N, N).

    Args:
        graph: `graph.h5`.
        judgements: `judgements.h5` of this graph.

    Raises:
        UserError: as `graph_distance`.
    """
    return _matrix(graph, 1 - judgements["probability"])


def _matrix(graph: Artifact, data: np.ndarray) -> csr_array:
    """Return values of the stored pairs; the writer of the graph has checked its symmetry."""
    indptr, indices = graph["indptr"], graph["indices"]
    if not rows_ascend(indptr, indices):
        raise UserError(f"{graph.path}: {NOT_ROWS}. {how_to_fix(graph.path, graph.schema.command)}")
    count = len(indptr) - 1
    return csr_array((data, indices, indptr), shape=(count, count))


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
