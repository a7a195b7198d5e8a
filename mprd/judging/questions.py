"""Which pairs should a person judge? Those on which clusterings disagree, by what hangs on it.

Where one clustering joins two groups of images that another keeps apart, one answer decides about
all of them. So disagreements are taken as wholes, largest first, and of each the nearest pair is
shown, which is hardest to tell. After Ambiguity-aware sampling of must-link and cannot-link pairs
(arXiv 2511.06658).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import CLUSTERS, GRAPH, INDEX, JUDGEMENTS, read_artifact
from mprd.clustering.from_pairs import cluster_pairs, counted_pairs
from mprd.clustering.graph_matrix import graph_distance, judged_distance, relation_of
from mprd.clustering.numbering import with_single_clusters
from mprd.config import load_config, validate
from mprd.data.index import name_cameras, split_rows
from mprd.judging.session import Shown
from mprd.pipeline.finished import finished_run
from mprd.system.csr import entry_rows

# Stricter and more generous clusterings that those of a run are compared with.
_EPS = (0.4, 0.5, 0.6)
_GAMMAS = (0.02, 0.1, 0.3, 0.5)
_JUDGED_GAMMAS = (0.05, 0.2, 0.5, 0.7)


class Question(NamedTuple):
    """A pair to judge.

    Attributes:
        a: row of one image.
        b: row of the other.
        moves: images that change their place by the answer, at least.
        joined: the clustering in use has them together.
    """

    a: int
    b: int
    moves: int
    joined: bool


def pairs_to_judge(
    clusters: np.ndarray, others: Sequence[np.ndarray], relation: csr_array, count: int
) -> list[Question]:
    """Return the disagreements of a clustering with others, those that move most images first.

    Only groups that a stored pair connects are compared: of others nobody would think.

    Args:
        clusters: int (N,), -1 outlier: the clustering in use.
        others: int (N,) each, -1 outlier, such as stricter and more generous ones.
        relation: (N, N), symmetric, how near two images are.
        count: most questions.
    """
    found: dict[tuple[int, int], tuple[int, float, bool]] = {}
    for other in others:
        for (a, b), moves, near, joined in _disagreements(clusters, other, relation):
            if (a, b) not in found or found[a, b][0] < moves:
                found[a, b] = moves, near, joined
    order = sorted(found, key=lambda pair: (-found[pair][0], -found[pair][1], pair))[:count]
    return [Question(*pair, found[pair][0], found[pair][2]) for pair in order]


def _disagreements(
    first: np.ndarray, second: np.ndarray, relation: csr_array
) -> Iterator[tuple[tuple[int, int], int, float, bool]]:
    """Yield, of each two groups on which the two disagree, the nearest pair.

    With it the images that move by the answer, the relation of the pair, and whether the first
    clustering has it together.
    """
    one, other = with_single_clusters(first), with_single_clusters(second)
    # A part: the images that both clusterings hold together.
    _, part, sizes = np.unique(
        one * (int(other.max(initial=0)) + 1) + other, return_inverse=True, return_counts=True
    )
    row = entry_rows(relation.indptr)
    column = relation.indices
    differ = (row < column) & (part[row] != part[column])
    differ &= (one[row] == one[column]) != (other[row] == other[column])
    a, b, near = row[differ], column[differ], relation.data[differ]
    if not len(a):
        return
    pair = np.stack([np.minimum(part[a], part[b]), np.maximum(part[a], part[b])])
    order = np.lexsort((-near, pair[1], pair[0]))
    _, nearest = np.unique(pair[:, order], axis=1, return_index=True)
    for n in order[nearest].tolist():
        i, j = int(a[n]), int(b[n])
        yield (
            (i, j),
            int(min(sizes[part[i]], sizes[part[j]])),
            float(near[n]),
            bool(one[i] == one[j]),
        )


def questions(run: Path, count: int) -> list[Shown]:
    """Return the pairs of a finished run that are most worth judging.

    Args:
        run: its folder.
        count: most of them.

    Raises:
        UserError: the run is not finished.
    """
    layout = finished_run(run)
    config = load_config(layout.config)
    clusters = read_artifact(layout.final.clusters, CLUSTERS)["labels"]
    graph = read_artifact(layout.final.graph, GRAPH)
    index = read_artifact(layout.index, INDEX)
    rows = split_rows(index, "train")
    distance = graph_distance(graph)
    others = comparisons(distance)
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


def comparisons(distance: csr_array) -> list[np.ndarray]:
    """Return stricter and more generous clusterings, int32 (N,) each, -1 outlier."""
    others = [_clusters(distance, method="dbscan", eps=eps, min_samples=2) for eps in _EPS]
    return others + [_clusters(distance, method="community", gamma=gamma) for gamma in _GAMMAS]


def _clusters(distance: csr_array, **settings: Any) -> np.ndarray:
    values = {"eps": 0.7, "min_size": 2} | settings
    chosen = validate({"cluster": values, "graph": {"eps_max": 0.9}}, "a comparison").cluster
    near = counted_pairs(distance, distance.data, chosen)
    return cluster_pairs(near, np.empty((0, 2), np.int64), chosen)[0]
