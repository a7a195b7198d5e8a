"""The distances of a stored graph, as clusterings read them."""

from scipy.sparse import csr_array

from mprd.artifacts import Artifact


def graph_distance(graph: Artifact) -> csr_array:
    """Return the Jaccard distances of `graph.h5`, float32 (N, N)."""
    count = len(graph["indptr"]) - 1
    return csr_array((graph["data"], graph["indices"], graph["indptr"]), shape=(count, count))
