"""Stage `judge`: the relation GCN's prediction for every pair that the graph stores."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mprd.artifacts import CLUSTERS, FEATURES, GRAPH, JUDGEMENTS, read_artifact, write_artifact
from mprd.config import Config
from mprd.data.index import read_index, split_rows
from mprd.gcn.calibration import calibration
from mprd.gcn.quality import auc
from mprd.gcn.relation_tasks import RelationTasks
from mprd.gcn.weights import load_gcn
from mprd.pipeline.inputs import JudgeInputs
from mprd.pipeline.layout import log_prefix
from mprd.pipeline.lineage import require_parent
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.stages.relation_sources import read_ranks, require_clusters_by_distance, require_same_data
from mprd.system import group
from mprd.system.ram import judge_bytes, require
from mprd.system.torch_setup import select_device

SETTINGS = ("seed", "gcn.neighbors")


@exclusive
def run_judge(inputs: JudgeInputs, *, out: Path, config: Config) -> None:
    """Write the probability of every stored pair of a graph that it shows one identity.

    They are those of balanced tasks: the positive rate of the stored pairs cannot be estimated
    safely (docs/relations.md), and `cluster.gamma` sets the operating point anyway. Where
    identities are known, AUC and Brier score are recorded, for the eye only.

    Args:
        inputs: features, graph, provisional clusters and ranks of the epoch, the GCN of the epoch
            before. Node features are standardised on pairs inside the provisional clusters, as
            where the GCN learns: inside the clusters that it makes itself it would find fewer and
            fewer doubts.
        out: `judgements.h5` to write.
        config: of the run.

    Raises:
        UserError: an input is missing, damaged or of another run; too little memory.
    """
    index = read_index(inputs.index)
    features, graph, provisional = (
        read_artifact(path, schema)
        for path, schema in (
            (inputs.features, FEATURES),
            (inputs.graph, GRAPH),
            (inputs.provisional_clusters, CLUSTERS),
        )
    )
    require_parent(features, "index", index.digest, inputs.index)
    require_parent(graph, "features", features.digest, inputs.features)
    require_parent(provisional, "graph", graph.digest, inputs.graph)
    require_clusters_by_distance(provisional)
    rows = split_rows(index, "train")
    cameras, identity = index["camera"][rows], index["identity"][rows]
    count, dim = features["features"].shape
    ranks = read_ranks(inputs.ranks, features, cameras)
    need = judge_bytes(count, dim, len(np.unique(cameras)), len(graph["indices"]))
    require("judge", need, "Take a machine with more memory, or a smaller graph.eps_max.")
    device = select_device(config.device)
    gcn, header = load_gcn(inputs.gcn, dim)
    require_same_data(header, index, inputs.gcn)
    relations = RelationTasks(
        network=gcn.to(device),
        memory=torch.from_numpy(features["features"]).to(device),
        graph=graph,
        labels=torch.from_numpy(provisional["labels"]).long().to(device),
        cameras=cameras,
        settings=config.gcn,
        generator=torch.Generator().manual_seed(config.seed),
        ranks=ranks,
    )
    pairs, place = stored_pairs(graph["indptr"], graph["indices"])
    probability = relations.judge.shared_probability(pairs.to(device)).cpu()
    if not group.writes():
        return
    # A row's entry for itself is behind the pairs: it is certain.
    spread = torch.cat([probability, torch.ones(1)])[place]
    quality = _quality(pairs, probability, identity)
    accepted = float((probability >= 0.5).double().mean()) if len(pairs) else float("nan")
    print(f"{log_prefix(out)}{len(pairs):,} pairs judged, {accepted:.2f} accepted")
    write_artifact(
        out,
        JUDGEMENTS,
        {"probability": spread.numpy()},
        config=stage_settings(config, "judge"),
        inputs={
            "index": index.digest,
            "features": features.digest,
            "graph": graph.digest,
            "drafts": provisional.digest,
            "gcn": header["digest"],
            **({} if ranks is None else {"ranks": ranks.digest}),
        },
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
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    column = indices.astype(np.int64)
    upper = row < column
    pairs = np.stack([row[upper], column[upper]], axis=1)
    # Both halves sorted by (smaller, larger): the upper one is so as it stands.
    place = np.full(len(column), len(pairs))
    place[upper] = np.arange(len(pairs))
    lower = np.flatnonzero(row > column)
    place[lower[np.lexsort((row[lower], column[lower]))]] = np.arange(len(pairs))
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
