"""Stage `pairs`: doubtful pairs for a person to judge."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mprd.artifacts import FEATURES, GRAPH, INDEX, atomic
from mprd.artifacts.csv_rows import for_pandas
from mprd.clustering.graph_matrix import graph_distance
from mprd.clustering.tracks import TrackGroups
from mprd.data.index import split_rows
from mprd.errors import UserError, many
from mprd.gcn.context import RelationContext
from mprd.gcn.pairs import doubtful_pairs
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.lineage import Lineage
from mprd.stages.relation_inputs import read_doubtful, read_ranks

_STRATA = 5


def run_pairs(*, run: Path, out: Path, count: int, epoch: int | None = None) -> None:
    """Write a CSV `path_a,path_b,same` of pairs most worth judging, `same` left empty.

    Pairs come from inside clusters, where a wrong link does harm. They are sorted into five strata
    by their ranks within cameras, and each stratum gives an equal part. So both answers are
    likely, and the few near pairs are not lost among the many far ones.

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
    layout = RunLayout(run)
    here = layout.epoch(_clustered_epoch(layout, epoch))
    lineage = Lineage("judge")  # it asks about the same pairs
    index = lineage.read("index", layout.index, INDEX, ("path", "split", "camera", "track"))
    features = lineage.read("features", here.features, FEATURES)
    graph = lineage.read("graph", here.graph, GRAPH)
    # In a run with judged clusters the GCN learns inside the provisional ones.
    labelled = here.doubtful(uses_predictions=here.provisional_clusters.is_file())
    clusters = read_doubtful(lineage, "provisional_clusters", labelled)
    rows = split_rows(index, "train")
    generator = torch.Generator().manual_seed(0)
    tracks = TrackGroups.of_tracks(index["track"][rows])
    labels = torch.from_numpy(clusters["labels"]).long()
    doubtful = doubtful_pairs(labels, generator, tracks)
    if len(doubtful) < count:
        raise UserError(
            f"{here.folder} holds {many(len(doubtful), 'doubtful pair')}, {count} are asked for. "
            "Lower --count."
        )
    cameras = index["camera"][rows]
    ranks = read_ranks(lineage, here.ranks if here.ranks.is_file() else None, cameras)
    context = RelationContext.of_graph(
        memory=torch.from_numpy(features["features"]),
        neighbors=graph["neighbors"],
        distance=graph_distance(graph),
        cameras=cameras,
        star=1,
        aligned=graph.attributes["cameras"],
        profile=None if ranks is None else torch.from_numpy(ranks["cosine"]),
        tracks=tracks,
    )
    i, j = doubtful.T
    level = context.camera_level(i, j) + context.camera_level(j, i)
    chosen = doubtful[stratified(level.numpy(), count, seed=0)].numpy()
    paths = index["path"][rows]
    table = pd.DataFrame({"path_a": paths[chosen[:, 0]], "path_b": paths[chosen[:, 1]], "same": ""})
    with atomic(out, lock=False) as temporary:
        table.to_csv(for_pandas(temporary), index=False)
    print(
        f"{many(count, 'pair')} of {here.folder} in {out}: fill in `same` with 1 or 0, or leave it "
        "empty."
    )


def _clustered_epoch(layout: RunLayout, epoch: int | None) -> int:
    """Return the epoch asked for, or the last one that is clustered."""
    found = layout.epochs_with("clusters")
    if epoch is not None:
        found = [number for number in found if number == epoch]
    if not found:
        which = "a clustered epoch" if epoch is None else f"the clusters of epoch {epoch}"
        raise UserError(f"{layout.folder} does not hold {which}. Make one with `mprd cluster`.")
    return found[-1]


def stratified(level: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return positions, an equal part from each fifth of the range of levels, shuffled.

    A fifth with too few pairs gives all it has; the rest comes from the others.
    """
    rng = np.random.default_rng(seed)
    edges = np.linspace(level.min(), level.max(), _STRATA + 1)[1:-1]
    stratum = np.searchsorted(edges, level, side="right")
    order = rng.permutation(len(level))
    place = np.empty(len(level), np.int64)  # of a pair within its stratum
    for value in range(_STRATA):
        members = order[stratum[order] == value]
        place[members] = np.arange(len(members))
    taken = order[np.argsort(place[order], kind="stable")][:count]
    return rng.permutation(taken)
