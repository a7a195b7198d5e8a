"""Does the relation GCN drift towards "yes" as it learns?

`python benchmarks/drift.py results/demo`: for every epoch of a finished run with known identities,
the share of wrong and of right pairs inside a cluster to which the GCN of that epoch says yes,
beside the GCN as it was pre-trained; for balanced tasks, and at the estimated positive rate.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mprd.artifacts import CLUSTERS, FEATURES, GRAPH, INDEX, read_artifact
from mprd.config import load_config
from mprd.data.index import split_rows
from mprd.gcn.calibration import at_prior, estimate_prior
from mprd.gcn.relation_tasks import RelationTasks
from mprd.gcn.weights import load_gcn
from mprd.pipeline.files import files_read
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.stages import stage
from mprd.system.torch_setup import set_up_cpu

_PAIRS = 8192


def epoch_rows(run: RunLayout, epoch: int) -> list[dict]:
    """Return the metrics of the GCN that judges in an epoch, and of the pre-trained one."""
    here, config = run.epoch(epoch), load_config(run.config)
    index = read_artifact(run.index, INDEX)
    rows = split_rows(index, "train")
    who = torch.from_numpy(index["identity"][rows])
    features = read_artifact(here.features, FEATURES)["features"]
    found = []
    inputs = {
        read.role: path for read, path in files_read(stage("learn"), run, epoch, config).items()
    }
    for name, path in (("learnt", inputs["gcn"]), ("pre-trained", run.initial_gcn)):
        network, _ = load_gcn(path, features.shape[1])
        relations = RelationTasks(
            network=network,
            memory=torch.from_numpy(features.copy()),
            graph=read_artifact(here.graph, GRAPH),
            labels=torch.from_numpy(read_artifact(here.clusters, CLUSTERS)["labels"]).long(),
            cameras=index["camera"][rows],
            settings=config.gcn,
            generator=torch.Generator().manual_seed(0),
        )
        pairs = relations.doubtful[:: max(1, len(relations.doubtful) // _PAIRS)]
        same = who[pairs[:, 0]] == who[pairs[:, 1]]
        balanced = relations.judge.probability(pairs)
        prior = estimate_prior(balanced)
        at_share = at_prior(balanced, prior)
        found.append(
            {
                "epoch": epoch,
                "gcn": name,
                "true share": float(same.double().mean()),
                "estimated": prior,
                "wrong yes": float((balanced[~same] >= 0.5).double().mean()),
                "right yes": float((balanced[same] >= 0.5).double().mean()),
                "wrong yes, at share": float((at_share[~same] >= 0.5).double().mean()),
                "right yes, at share": float((at_share[same] >= 0.5).double().mean()),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs with use_gcn")
    options = parser.parse_args()
    set_up_cpu(None)
    rows = []
    for folder in options.runs:
        run = RunLayout(folder)
        for epoch in run.epochs_with("gcn"):
            rows += epoch_rows(run, epoch)
    table = pd.DataFrame(rows).groupby(["epoch", "gcn"], sort=False).mean()
    print(table.unstack().round(3).to_string() if np.isfinite(table).all(axis=None) else table)


if __name__ == "__main__":
    main()
