"""Stage `learn`: the relation GCN learns from an epoch.

It learns under the embeddings that the epoch began with, from metadata, unlabelled pairs, and the
pairs that training collected.
"""

from pathlib import Path

import numpy as np
import torch

from mprd.artifacts import COLLECTED, FEATURES, GRAPH, INDEX, write_json
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.gcn.learning import train_gcn
from mprd.gcn.relation_tasks import RelationTasks
from mprd.gcn.weights import save_gcn
from mprd.pipeline.layout import log_prefix
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.stages.network_inputs import inference_sizes, open_images, read_model
from mprd.stages.relation_inputs import (
    embed_nodes,
    read_doubtful,
    read_gcn,
    read_metadata,
    read_ranks,
    require_epoch_before,
    unlabelled_tasks,
)
from mprd.system.torch_setup import select_device


@exclusive
def run_learn(
    *,
    index: Path,
    pixels: Path,
    features: Path,
    graph: Path,
    doubtful: Path,
    model: Path,
    metadata: Path,
    collected: Path,
    gcn: Path,
    out: Path,
    metrics: Path,
    config: Config,
    ranks: Path | None = None,
) -> None:
    """Train the relation GCN of the epoch before, by Reptile; write that of this epoch.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        features: `features.h5` of the epoch.
        graph: `graph.h5` of the epoch.
        doubtful: clusters by Jaccard distance of the epoch, whose pairs are doubtful.
        model: the CNN that made the features.
        metadata: `metadata.h5`.
        collected: `collected.h5` of the epoch.
        gcn: the network of the epoch before, or the pre-trained one.
        out: `gcn.safetensors` to write.
        metrics: JSON of the losses to write.
        config: of the run.
        ranks: `ranks.h5` of the epoch; None: all images are compared.

    Raises:
        UserError: an input is missing, damaged or of another run; training diverges; too little
            memory.
    """
    lineage, settings = Lineage("learn"), config.gcn
    images = lineage.read("index", index, INDEX)
    rows = split_rows(images, "train")
    cameras = images["camera"][rows]
    embedded = lineage.read("features", features, FEATURES)
    vectors = embedded["features"]
    neighbors = lineage.read("graph", graph, GRAPH)
    clusters = read_doubtful(lineage, "doubtful", doubtful)
    device = select_device(config.device)
    store = open_images(lineage, pixels, images, rows, device)
    cnn = read_model(lineage, model, config.precision)
    known = read_metadata(lineage, metadata, vectors.shape[1])
    searched = read_ranks(lineage, ranks, cameras)
    network = read_gcn(lineage, gcn, vectors.shape[1]).to(device)
    require_epoch_before(lineage, gcn, model)
    pairs = lineage.read("collected", collected, COLLECTED)
    sizes = inference_sizes(cnn, store, config.features.batch, cameras=len(np.unique(cameras)))
    require_memory("learn", sizes, config)
    cnn = cnn.to(device).to(memory_format=torch.channels_last)
    relations = RelationTasks(
        network=network,
        memory=torch.from_numpy(vectors).to(device),
        graph=neighbors,
        labels=torch.from_numpy(clusters["labels"]).long().to(device),
        cameras=cameras,
        settings=settings,
        generator=torch.Generator().manual_seed(int(pairs.attributes["relation_seed"])),
        keep_ranks=True,
        ranks=searched,
        tracks=TrackGroups.of_tracks(images["track"][rows]),
    )
    nodes = embed_nodes(known, vectors, cnn, store, config.features.batch)
    sources = [
        relations.metadata_tasks(known, nodes, settings.update.metadata),
        unlabelled_tasks(
            relations,
            cnn=cnn,
            store=store,
            eps=float(clusters.attributes["eps"]),
            config=config,
            tasks=settings.update.unlabelled,
        ),
        relations.collected_tasks(
            torch.from_numpy(pairs["pairs"]).to(device),
            torch.from_numpy(pairs["same"]).bool().to(device),
            settings.update.collected,
        ),
    ]
    losses = train_gcn(network, sources, settings, relations.generator)
    save_gcn(
        out,
        network,
        config=stage_settings(config, "learn"),
        inputs=lineage.digests,
        seed=config.seed,
    )
    write_json(metrics, {"schema": "mprd.learning", "loss": losses})
    done = ", ".join(f"{len(values)} {name}" for name, values in losses.items())
    print(f"{log_prefix(out)}relation GCN: {done} tasks")
