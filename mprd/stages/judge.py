"""Stage `judge`: the relation GCN's word on every pair that the graph stores."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mprd.artifacts import FEATURES, GRAPH, INDEX, JUDGEMENTS, write_artifact
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.errors import many
from mprd.gcn.calibration import calibration
from mprd.gcn.quality import auc
from mprd.gcn.relation_tasks import RelationTasks
from mprd.pipeline.layout import log_prefix
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import Sizes, require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.stages.relation_inputs import (
    read_doubtful,
    read_gcn,
    read_ranks,
    refuse_same_epoch,
)
from mprd.system import group
from mprd.system.csr import entry_rows
from mprd.system.torch_setup import select_device


@exclusive
def run_judge(
    *,
    index: Path,
    features: Path,
    graph: Path,
    provisional_clusters: Path,
    gcn: Path,
    out: Path,
    config: Config,
    ranks: Path | None = None,
) -> None:
    """Write the probability of every stored pair of a graph that it shows one identity.

    They are those of balanced tasks: the share of true pairs among the stored ones cannot be
    estimated safely (docs/explanation/relations.md), and `cluster.gamma` sets the operating point
    anyway. Where identities are known, AUC and Brier score are recorded, for the eye only.

    Args:
        index: `index.h5`.
        features: `features.h5` of the epoch.
        graph: `graph.h5` of the epoch.
        provisional_clusters: `drafts.h5` of the epoch. Node features are standardised on pairs
            inside these clusters, as where the GCN learns: inside the clusters that it makes itself
            it would find fewer and fewer doubts.
        gcn: the relation GCN of the epoch before, or the pre-trained one.
        out: `judgements.h5` to write.
        config: of the run.
        ranks: `ranks.h5` of the epoch; None: all images are compared.

    Raises:
        UserError: an input is missing, damaged or of another run; too little memory.
    """
    lineage = Lineage("judge")
    images = lineage.read("index", index, INDEX)
    rows = split_rows(images, "train")
    cameras, identity = images["camera"][rows], images["identity"][rows]
    embedded = lineage.read("features", features, FEATURES)
    neighbors = lineage.read("graph", graph, GRAPH)
    provisional = read_doubtful(lineage, "provisional_clusters", provisional_clusters)
    count, dim = embedded["features"].shape
    searched = read_ranks(lineage, ranks, cameras)
    sizes = Sizes(
        images=count, dim=dim, cameras=len(np.unique(cameras)), stored=len(neighbors["indices"])
    )
    require_memory("judge", sizes, config)
    device = select_device(config.device)
    network = read_gcn(lineage, gcn, dim)
    refuse_same_epoch(lineage, gcn)
    relations = RelationTasks(
        network=network.to(device),
        memory=torch.from_numpy(embedded["features"]).to(device),
        graph=neighbors,
        labels=torch.from_numpy(provisional["labels"]).long().to(device),
        cameras=cameras,
        settings=config.gcn,
        generator=torch.Generator().manual_seed(config.seed),
        ranks=searched,
        tracks=TrackGroups.of_tracks(images["track"][rows]),
    )
    pairs, place = stored_pairs(neighbors["indptr"], neighbors["indices"])
    probability = relations.judge.shared_probability(pairs.to(device)).cpu()
    if not group.writes():
        return
    # A row's entry for itself is behind the pairs: it is certain.
    spread = torch.cat([probability, torch.ones(1)])[place]
    quality = _quality(pairs, probability, identity)
    accepted = float((probability >= 0.5).double().mean()) if len(pairs) else float("nan")
    print(f"{log_prefix(out)}{many(len(pairs), 'pair')} judged, {accepted:.2f} accepted")
    write_artifact(
        out,
        JUDGEMENTS,
        {"probability": spread.numpy()},
        config=stage_settings(config, "judge"),
        inputs=lineage.digests,
        seed=config.seed,
        attributes={"accepted": accepted, **quality},
    )


def stored_pairs(indptr: np.ndarray, indices: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the distinct pairs of a symmetric CSR matrix, and where each entry finds its pair.

    Args:
        indptr: int64 (N+1,).
        indices: int32 (nnz,), sorted within a row.

    Returns:
        Pairs int64 (P, 2), i < j, and int64 (nnz,): the place among the pairs of each entry's pair;
        P for entries of the diagonal.
    """
    row = entry_rows(indptr)
    column = indices.astype(np.int64)
    upper = row < column
    pairs = np.stack([row[upper], column[upper]], axis=1)
    # Both halves sorted by (smaller, larger): the upper one is so as it stands, the lower one
    # after a stable sort by column, for its rows ascend.
    place = np.full(len(column), len(pairs))
    place[upper] = np.arange(len(pairs))
    lower = np.flatnonzero(row > column)
    place[lower[np.argsort(indices[lower], kind="stable")]] = np.arange(len(pairs))
    return torch.from_numpy(pairs), torch.from_numpy(place)


def _quality(pairs: Tensor, probability: Tensor, identity: np.ndarray) -> dict[str, Any]:
    who = torch.from_numpy(identity)
    known = (who[pairs] >= 0).all(dim=1)
    if not bool(known.any()):
        return dict.fromkeys(("true_share", "auc", "brier"), float("nan"))
    i, j = pairs[known].T
    same = who[i] == who[j]
    return {
        "true_share": float(same.double().mean()),
        "auc": auc(probability[known], same),
        "brier": calibration(probability[known], same)["brier"],
    }
