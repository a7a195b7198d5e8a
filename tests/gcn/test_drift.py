"""A fixed run of epochs in which the relation GCN learns on: it must not drift towards "yes"."""

from pathlib import Path

import numpy as np
import torch

from mprd.artifacts import GRAPH, Artifact
from mprd.config import ClusterConfig, GcnConfig
from mprd.gcn import learning
from mprd.gcn.calibration import estimate_prior
from mprd.gcn.filter import RelationFilter
from mprd.gcn.learning import build_gcn, train_gcn
from mprd.gcn.relation_tasks import RelationTasks
from mprd.graph import jaccard_distance, knn
from mprd.pairs.hard_pairs import HardPairs

EPOCHS, COUNT, DIM = 6, 240, 24
SETTINGS = GcnConfig(
    neighbors=4, hidden=(16, 16), conv=(16, 24), mlp=16, batch=32, unlabelled={"negative_rank": 4}
)


def embeddings(epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look-alikes in pairs, six images each, in three cameras; later epochs tell them better."""
    rng = np.random.default_rng(0)
    who, cameras = np.arange(COUNT) // 6, np.arange(COUNT) % 3
    alike = (
        rng.normal(size=(COUNT // 12, DIM))[who // 2]
        + 0.7 * rng.normal(size=(COUNT // 6, DIM))[who]
    )
    rows = alike + rng.normal(size=(3, DIM))[cameras]
    rows = rows + (1.0 - 0.05 * epoch) * rng.normal(size=(COUNT, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), who, cameras


def relations_of(epoch: int, network, labels, generator) -> RelationTasks:
    features, _, cameras = embeddings(epoch)
    _, neighbors = knn(features, 12, "torch")
    distance = jaccard_distance(features, neighbors, 12, 3, 0.9)
    stored = ("indptr", "indices", "data")
    arrays = {"neighbors": neighbors} | {key: getattr(distance, key) for key in stored}

    graph = Artifact(Path("graph.h5"), GRAPH, arrays, {"cameras": "none", "recall": 1.0}, "", {})
    return RelationTasks(
        network=network,
        memory=torch.from_numpy(features),
        graph=graph,
        labels=labels,
        cameras=cameras,
        settings=SETTINGS,
        generator=generator,
        keep_ranks=True,
    )


def test_wrong_pairs_pass_no_more_often_as_it_learns(monkeypatch):
    # With so few images the limit would end the learning, and with it every drift.
    monkeypatch.setattr(learning, "_MOST_DRAWS", 10_000)
    network = build_gcn(SETTINGS, DIM, seed=0)
    generator = torch.Generator().manual_seed(0)
    _, who, _ = embeddings(0)
    same = torch.from_numpy(who)
    labels = torch.from_numpy(who // 2).long()  # each cluster holds two identities
    passed, right = [], []
    for epoch in range(EPOCHS):
        relations = relations_of(epoch, network, labels, generator)
        if epoch == 0:
            first = relations.unlabelled_tasks(ClusterConfig(), 0.5, 200)
            train_gcn(network, [first], SETTINGS, generator)
        i, j = relations.doubtful.T
        yes = relations.judge.probability(relations.doubtful) >= 0.5
        passed.append(float(yes[same[i] != same[j]].double().mean()))
        right.append(float(yes[same[i] == same[j]].double().mean()))
        prior = estimate_prior(relations.judge.probability(relations.sample))
        judge = RelationFilter(relations.judge, relations.sample, prior)
        pairs = HardPairs(labels, None)
        batches = torch.randperm(COUNT, generator=generator).view(-1, 40)
        members = pairs.members(batches)
        judge.expect(pairs, batches, members)
        for step, rows in enumerate(batches):
            judge(pairs.of_batch(rows, members.of_step(step)), generator)
        sources = [
            relations.unlabelled_tasks(ClusterConfig(), 0.5, 10),
            relations.collected_tasks(*judge.collected(), 120),
        ]
        train_gcn(network, sources, SETTINGS, generator)
    assert 0.1 < passed[0] < 0.6, "there is something to drift"
    assert max(passed[-2:]) < passed[0], "negatives from other clusters end at 0.33"
    assert min(right) > 0.6
