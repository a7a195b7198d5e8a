"""Stage `pairs`: doubtful pairs for a person to judge."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mprd.artifacts import CLUSTERS, FEATURES, GRAPH, INDEX, atomic, read_artifact
from mprd.clustering import graph_distance
from mprd.errors import UserError
from mprd.gcn.context import EpochContext
from mprd.gcn.pairs import doubtful_pairs
from mprd.provenance import require_parent
from mprd.stages.common import split_rows

_STRATA = 5


def run_pairs(run: Path, out: Path, count: int, epoch: int | None = None) -> None:
    """Write a CSV `path_a,path_b,same` of pairs most worth judging, `same` left empty.

    Pairs come from inside clusters, where a wrong link does harm. By how near they are to each
    other within their cameras they fall into five strata, which give equal parts: so both
    answers are likely, and the few near pairs are not lost among the many far ones.

    Args:
        run: folder of a run with a clustered epoch.
        out: CSV to write.
        count: pairs to write.
        epoch: which epoch; None: the last that is clustered.

    Raises:
        UserError: no such epoch, fewer doubtful pairs than asked for, or `out` exists.
    """
    if out.exists():
        raise UserError(f"{out} exists and may hold judgements. Name another file.")
    folder = _epoch_folder(run, epoch)
    index = read_artifact(run / "index.h5", INDEX, ("path", "split", "camera"))
    features = read_artifact(folder / "features.h5", FEATURES)
    require_parent(features, "index", index.digest, run / "index.h5")
    graph = read_artifact(folder / "graph.h5", GRAPH)
    clusters = read_artifact(folder / "clusters.h5", CLUSTERS)
    require_parent(clusters, "graph", graph.digest, folder / "graph.h5")
    rows = split_rows(index, "train")
    generator = torch.Generator().manual_seed(0)
    doubtful = doubtful_pairs(torch.from_numpy(clusters["labels"]).long(), generator)
    if len(doubtful) < count:
        raise UserError(
            f"{folder} holds {len(doubtful)} doubtful pairs, {count} are asked for. Lower --count."
        )
    context = EpochContext(
        torch.from_numpy(features["features"]),
        graph["neighbors"],
        graph_distance(graph),
        index["camera"][rows],
        star=1,
        centred=bool(graph.attributes["center_cameras"]),
    )
    i, j = doubtful.T
    level = context.camera_level(i, j) + context.camera_level(j, i)
    chosen = doubtful[stratified(level.numpy(), count, seed=0)].numpy()
    paths = index["path"][rows]
    table = pd.DataFrame({"path_a": paths[chosen[:, 0]], "path_b": paths[chosen[:, 1]], "same": ""})
    with atomic(out) as temporary:
        table.to_csv(temporary, index=False)
    print(f"{count} pairs of {folder} in {out}: fill in `same` with 1 or 0, or leave it empty.")


def _epoch_folder(run: Path, epoch: int | None) -> Path:
    folders = sorted(path.parent for path in run.glob("epochs/[0-9][0-9][0-9]/clusters.h5"))
    if epoch is not None:
        folders = [folder for folder in folders if int(folder.name) == epoch]
    if not folders:
        which = "a clustered epoch" if epoch is None else f"the clusters of epoch {epoch}"
        raise UserError(f"{run} does not hold {which}. Make one with `mprd cluster`.")
    return folders[-1]


def stratified(level: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return positions, an equal part from each fifth of the range of levels, shuffled.

    A fifth with too few pairs gives all it has; the rest comes from the others.
    """
    rng = np.random.default_rng(seed)
    edges = np.linspace(level.min(), level.max(), _STRATA + 1)[1:-1]
    stratum = np.searchsorted(edges, level, side="right")
    order = rng.permutation(len(level))
    turn = np.empty(len(level), np.int64)
    for value in range(_STRATA):
        members = order[stratum[order] == value]
        turn[members] = np.arange(len(members))
    taken = order[np.argsort(turn[order], kind="stable")][:count]
    return rng.permutation(taken)
