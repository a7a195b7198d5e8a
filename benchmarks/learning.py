"""What each part of the method adds to mAP, in the loop: `python benchmarks/learning.py`.

Cells of variants x seeds, each a short training from one start; a cell that is there is not done
again. `--market ROOT` takes 250 training and 200 test identities of a copy of Market-1501, chosen
by a seed, `--manifest FILE` those of other images; without both synthetic images, other ones for
each seed. Two variants look at true
identities, as ceilings: what would perfect clusters, or a perfect filter, give? Differences are
paired by seed.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from runs import start_run
from torch import Tensor
from variants import BASE, COMBINED, EVIDENCE, MORE, RIVALS, VARIANTS

from mprd.artifacts import CLUSTERS, INDEX, read_artifact, write_artifact
from mprd.clustering.agreement import pair_quality
from mprd.config import dump_yaml, merge, read_yaml, validate
from mprd.data.datasets import read_dataset
from mprd.data.datasets.base import Listing
from mprd.data.index import split_rows
from mprd.gcn.filter import RelationFilter
from mprd.pairs.hard_pairs import BatchPairs
from mprd.pipeline.layout import RunLayout, epoch_name
from mprd.stages.run_stage import make_pseudo_labels, run_stage
from mprd.system.torch_setup import set_up_cpu

ROOT = Path(__file__).parents[1]
EVERY = VARIANTS | MORE | RIVALS | COMBINED | EVIDENCE
TRAIN_IDS, TEST_IDS, SUBSET_SEED = 250, 200, 1501
SUBSET = "subset.csv"


def subset(listing: Listing, out: Path) -> None:
    """Write a manifest of some identities; the same for the same images."""
    rng = np.random.default_rng(SUBSET_SEED)
    chosen: dict[str, set[int]] = {}
    for split, count in (("train", TRAIN_IDS), ("query", TEST_IDS)):
        known = sorted({r.identity for r in listing.records if r.split == split})
        chosen[split] = set(rng.choice(known, min(count, len(known)), replace=False).tolist())
    chosen["gallery"] = chosen["query"]
    rows = [
        (listing.root / r.path, r.split, r.identity, r.camera, r.time)
        for r in listing.records
        if r.identity in chosen[r.split]
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows, columns=["path", "split", "identity", "camera", "frame"])
    table.dropna(axis="columns", how="all").to_csv(out, index=False)  # images without times


class Cell:
    """One training: a variant with one seed, and further changes under a name of its own."""

    def __init__(
        self,
        folder: Path,
        variant: str,
        seed: int,
        options: argparse.Namespace,
        change: dict | None = None,
        name: str | None = None,
    ) -> None:
        self.variant, self.layout = variant, RunLayout(folder / f"{name or variant}-{seed}")
        self.shared = RunLayout(folder / f"start-{seed}")
        if (folder / SUBSET).is_file():
            images = {"root": str(folder / SUBSET), "allow_outside": True}
            values = merge(BASE["market"], {"data": images})
        else:
            values = merge(read_yaml(ROOT / "config/config.yaml"), BASE["synthetic"])
            images = {"root": str(folder / "images"), "synthetic": {"seed": seed}}
            values = merge(values, {"data": images})
        values = merge(values, {"seed": seed, "epochs": options.epochs, "runs": {"x": {}}})
        values = merge(values, {"train": {"iters": options.iters}})
        values = merge(values, EVERY[variant])
        self.config = validate(merge(values, change or {}), name or variant)

    def run(self) -> dict:
        """Train and evaluate; return the metrics of the last epoch."""
        last = epoch_name(self.config.epochs)
        report = self.layout.evaluation(last)
        stored = self.layout.config
        if stored.is_file() and stored.read_text() != dump_yaml(self.config):
            raise SystemExit(f"{stored} has other settings. Name another folder by --work.")
        if not report.is_file():
            self.start()
            for epoch in range(1, self.config.epochs + 1):
                if not self.layout.epoch(epoch).metrics.is_file():
                    self.label(epoch)
                    self.train(epoch)
            run_stage("evaluate", self.layout, self.config, step=last)
        return self._metrics(json.loads(report.read_text()))

    def start(self) -> None:
        """Make images and the initial model once for all variants of a seed."""
        start, config = self.shared, self.config
        if not start.initial_model.is_file():
            start_run(start, config, threads=2)
        for ours, theirs in (
            (self.layout.index, start.index),
            (self.layout.pixels, start.pixels),
            (self.layout.initial_model, start.initial_model),
        ):
            ours.parent.mkdir(parents=True, exist_ok=True)
            if not ours.exists():
                ours.symlink_to(theirs.resolve())
        self.layout.config.write_text(dump_yaml(config))

    def label(self, epoch: int) -> None:
        """Make the pseudo-labels of an epoch."""
        make_pseudo_labels(self.layout, epoch, self.config)
        if self.variant.startswith("oracle-clusters"):
            self._true_clusters(self.layout.epoch(epoch).clusters)

    def train(self, epoch: int) -> None:
        """Train an epoch, and let the relation GCN learn from it."""
        judge = RelationFilter.__call__
        if self.variant == "oracle-filter":
            truth = true_identities(self.layout)
            RelationFilter.__call__ = _with_truth(judge, truth)  # type: ignore[method-assign]
        try:
            run_stage("train", self.layout, self.config, step=epoch)
        finally:
            RelationFilter.__call__ = judge  # type: ignore[method-assign]
        if self.config.learns:
            run_stage("learn", self.layout, self.config, step=epoch)

    def _true_clusters(self, path: Path) -> None:
        """Put true identities in the place of pseudo-labels: a ceiling, in this benchmark only."""
        old = read_artifact(path, CLUSTERS)
        labels = np.unique(true_identities(self.layout), return_inverse=True)[1].astype(np.int32)
        sizes = np.bincount(labels).astype(np.int32)
        write_artifact(
            path,
            CLUSTERS,
            {
                "labels": labels,
                "sizes": sizes,
                "number": np.arange(len(sizes), dtype=np.int32),
                "membership": np.ones(len(labels), np.float32),
            },
            config={},
            inputs=old.inputs,
            attributes=old.attributes | {"num_outliers": 0},
        )

    def _metrics(self, evaluation: dict) -> dict:
        last = self.layout.epoch(self.config.epochs)
        labels = read_artifact(last.clusters, CLUSTERS)["labels"]
        index = read_artifact(self.layout.index, INDEX)
        cameras = index["camera"][split_rows(index, "train")]
        quality = pair_quality(labels, true_identities(self.layout), cameras)
        metrics = [
            json.loads(self.layout.epoch(e).metrics.read_text())
            for e in range(1, self.config.epochs + 1)
        ]
        relations = [m["relations"] for m in metrics if "relations" in m]

        def mean(key: str) -> float:
            values = [r[key] for r in relations if r.get(key) is not None]
            return float(np.mean(values)) if values else float("nan")

        return {
            "mAP": 100 * evaluation["mAP"],
            "rank-1": 100 * evaluation["rank1"],
            "F1": quality.f1,
            "precision": quality.precision,
            "cross rec.": quality.cross_recall,
            "|P|": float(np.mean([m["mean_hard_positives"] for m in metrics])),
            "|N|": float(np.mean([m["mean_hard_negatives"] for m in metrics])),
            "P right": mean("positive_precision"),
            "kept": mean("positive_precision_kept"),
            "N right": mean("negative_precision"),
            "kept ": mean("negative_precision_kept"),
        }


def true_identities(run: RunLayout) -> np.ndarray:
    """Return the identity of each training image."""
    index = read_artifact(run.index, INDEX)
    return index["identity"][split_rows(index, "train")]


def _with_truth(judge: Callable, identity: np.ndarray) -> Callable:
    """Return a filter that judges as always, for the record, and keeps what is true."""
    who = torch.from_numpy(identity)

    def filter_by_truth(
        self: RelationFilter, pairs: BatchPairs, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        judge(self, pairs, generator)
        same = who[pairs.rows][:, None] == who[pairs.members][None]
        return same, ~same

    return filter_by_truth


def table(cells: pd.DataFrame, base: str = "contrast") -> str:
    """Return means over seeds, and the paired difference of mAP to a base."""
    plain = cells[cells["variant"] == base].set_index("seed")["mAP"]
    rows = []
    for variant, group in cells.groupby("variant", sort=False):
        paired = group.set_index("seed")["mAP"] - plain
        error = paired.std(ddof=1) / len(paired) ** 0.5 if len(paired) > 1 else float("nan")
        metrics = group.drop(columns=["variant", "seed"]).mean()
        rows.append(
            {"variant": variant, "seeds": len(group), **metrics, "diff": paired.mean(), "+-": error}
        )
    return pd.DataFrame(rows).round(3).to_string(index=False)


def cell_options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what all cells of a table share."""
    parser = argparse.ArgumentParser(description=description)
    real = parser.add_mutually_exclusive_group()
    real.add_argument("--market", type=Path, help="folder that holds Market-1501")
    real.add_argument("--manifest", type=Path, help="other images, with splits and identities")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--iters", type=int, default=40)
    parser.add_argument("--work", type=Path, default=ROOT / "results/learning")
    return parser


def cell_folder(work: Path, market: Path | None, manifest: Path | None = None) -> Path:
    """Return the folder of the cells; of real images with the list of them in it."""
    if manifest is not None:
        dataset, root, folder = "folder", manifest, work / f"own-{manifest.stem}"
    elif market is not None:
        dataset, root, folder = "market1501", market, work / "market"
    else:
        return work / "synthetic"
    if not (folder / SUBSET).is_file():
        subset(read_dataset(dataset, root), folder / SUBSET)
    return folder


def main() -> None:
    parser = cell_options(__doc__)
    parser.add_argument("--variant", action="append", choices=EVERY)
    parser.add_argument("--rivals", action="store_true", help="the method beside its relatives")
    parser.add_argument("--evidence", action="store_true", help="average linkage and times")
    options = parser.parse_args()
    set_up_cpu(None)
    folder = cell_folder(options.work, options.market, options.manifest)
    found = []
    others = RIVALS if options.rivals else EVIDENCE if options.evidence else VARIANTS
    variants = options.variant or others
    for seed in range(options.seeds):
        for variant in variants:
            metrics = Cell(folder, variant, seed, options).run()
            found.append({"variant": variant, "seed": seed, **metrics})
            print(f"{variant} seed {seed}: mAP {metrics['mAP']:.1f}", flush=True)
    print(table(pd.DataFrame(found)))


if __name__ == "__main__":
    main()
