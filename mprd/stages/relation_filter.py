"""The relation GCN in stage `train`: it filters hard pairs, and its predictions are kept."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mprd.artifacts import COLLECTED, GRAPH, RELATIONS, write_artifact
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config, GcnConfig
from mprd.gcn.calibration import estimate_prior
from mprd.gcn.filter import RelationFilter, empty_record
from mprd.gcn.relation_tasks import RelationTasks
from mprd.pipeline.layout import EpochLayout
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.settings import stage_settings
from mprd.stages.relation_inputs import read_doubtful, read_gcn, read_ranks


def open_filter(
    lineage: Lineage,
    memory: Tensor,
    cameras: np.ndarray,
    tracks: TrackGroups,
    *,
    graph: Path,
    doubtful: Path,
    gcn: Path,
    ranks: Path | None,
    settings: GcnConfig,
    seed: int,
) -> RelationFilter:
    """Return the filter of an epoch's hard pairs, before its first step.

    Args:
        lineage: of stage `train`.
        memory: float32 (N, D), instance memory, equal to the features; kept, not copied.
        cameras: int (N,), -1 unknown.
        tracks: of the images.
        graph: `graph.h5` of the epoch.
        doubtful: clusters by Jaccard distance, whose pairs are doubtful.
        gcn: the network that the epoch begins with.
        ranks: `ranks.h5` of the epoch; None: all images are compared.
        settings: the `gcn` section.
        seed: of all random numbers of the relation GCN in this epoch.

    Raises:
        UserError: a file is missing, damaged, of another run, or of another width.
    """
    neighbors = lineage.read("graph", graph, GRAPH)
    clusters = read_doubtful(lineage, "doubtful", doubtful)
    network = read_gcn(lineage, gcn, memory.shape[1])
    relations = RelationTasks(
        network=network.to(memory.device),
        memory=memory,
        graph=neighbors,
        labels=torch.from_numpy(clusters["labels"]).long().to(memory.device),
        cameras=cameras,
        settings=settings,
        generator=torch.Generator().manual_seed(seed),
        keep_ranks=True,
        ranks=read_ranks(lineage, ranks, cameras),
        tracks=tracks,
    )
    judge, sample = relations.judge, relations.sample
    return RelationFilter(judge, sample, estimate_prior(judge.probability(sample)))


def write_relations(
    out: EpochLayout,
    pair_filter: RelationFilter | None,
    identity: np.ndarray,
    config: Config,
    digests: dict[str, str],
    *,
    seed: int,
) -> dict[str, Any]:
    """Write the predictions of an epoch, and the pairs that the GCN is to learn from.

    Args:
        out: files of the epoch.
        pair_filter: after the epoch; None where no loss reads hard pairs.
        identity: int (N,), -1 unknown; for the record only.
        config: of the run.
        digests: keyword -> digest of all inputs of the stage.
        seed: of all random numbers of the relation GCN in this epoch.

    Returns:
        What `metrics.json` reports.
    """
    arrays, summary = pair_filter.record(identity) if pair_filter else empty_record()
    pairs = torch.empty(0, 2, dtype=torch.int64), torch.empty(0, dtype=torch.bool)
    if pair_filter is not None:
        pairs = pair_filter.collected()
    collected = {"pairs": pairs[0].cpu().numpy(), "same": pairs[1].cpu().numpy().astype(np.uint8)}
    for path, schema, values, attributes in (
        (out.relations, RELATIONS, arrays, summary),
        (out.collected, COLLECTED, collected, {"relation_seed": seed}),
    ):
        write_artifact(
            path,
            schema,
            values,
            config=stage_settings(config, "train"),
            inputs=digests,
            seed=config.seed,
            attributes=attributes,
        )
    return dict(summary)
