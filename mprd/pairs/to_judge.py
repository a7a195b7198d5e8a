"""Which pairs should a person judge? Those on which two clusterings disagree, by what hangs on it.

Where one clustering joins two groups of images that the other keeps apart, one answer decides about
all of them. So disagreements are taken as wholes, largest first, and of each the nearest pair is
shown: the one that is hardest to tell and, if it is the same, binds most. After Ambiguity-aware
sampling of must-link and cannot-link pairs (arXiv 2511.06658).
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.numbering import with_single_clusters


class Question(NamedTuple):
    """A pair to judge.

    Attributes:
        a: row of one image.
        b: row of the other.
        moves: images that change their place by the answer, at least.
        joined: the first clustering has them together.
    """

    a: int
    b: int
    moves: int
    joined: bool


def pairs_to_judge(
    first: np.ndarray, second: np.ndarray, relation: csr_array, count: int
) -> list[Question]:
    """Return the disagreements of two clusterings, those that move most images first.

    Only groups that a stored pair connects are compared: of others nobody would think.

    Args:
        first: int (N,), -1 outlier: the clustering in use.
        second: int (N,), -1 outlier.
        relation: (N, N), symmetric, how near two images are.
        count: most questions.
    """
    one, other = with_single_clusters(first), with_single_clusters(second)
    # A part: the images that both clusterings hold together.
    _, part, sizes = np.unique(
        one * (int(other.max(initial=0)) + 1) + other, return_inverse=True, return_counts=True
    )
    row = np.repeat(np.arange(len(one)), np.diff(relation.indptr))
    column = relation.indices
    differ = (row < column) & (part[row] != part[column])
    differ &= (one[row] == one[column]) != (other[row] == other[column])
    a, b, near = row[differ], column[differ], relation.data[differ]
    if not len(a):
        return []
    pair = np.stack([np.minimum(part[a], part[b]), np.maximum(part[a], part[b])])
    order = np.lexsort((-near, pair[1], pair[0]))
    _, nearest = np.unique(pair[:, order], axis=1, return_index=True)
    chosen = order[nearest]
    moves = np.minimum(sizes[pair[0, chosen]], sizes[pair[1, chosen]])
    chosen = chosen[np.lexsort((-near[chosen], -moves))][:count]
    return [
        Question(i, j, int(min(sizes[part[i]], sizes[part[j]])), bool(one[i] == one[j]))
        for i, j in zip(a[chosen].tolist(), b[chosen].tolist(), strict=True)
    ]
