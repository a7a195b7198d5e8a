"""What a person's answers are worth, in the loop: `python benchmarks/answers.py`.

A run is trained, pairs of it are answered (by true identities, without a mistake), and the run is
trained again from the start with the answers as constraints of its clusters. Asked are the pairs of
`mprd answer`, or pairs drawn from the graph at random. The runs are cells of learning.py, in the
same folder; differences to the run without answers are paired by seed.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from learning import ROOT, Cell, table, true_identities

from mprd.artifacts import GRAPH, INDEX, read_artifact
from mprd.clustering.stored import graph_distance
from mprd.data.index import split_rows
from mprd.judging.questions import questions
from mprd.stages.epochs import label_epoch
from mprd.system.torch_setup import set_up_cpu


def finished(cell: Cell) -> None:
    """Label the images by the last model of a cell, as a run does at its end."""
    layout, last = cell.layout, cell.config.epochs + 1
    if not layout.final.clusters.is_file():
        label_epoch(layout, last, cell.config)
        layout.final.folder.mkdir(parents=True, exist_ok=True)
        for role, path in layout.epoch(last).labelling(cell.config.judged).items():
            getattr(layout.final, role).symlink_to(path.resolve())


def asked_pairs(cell: Cell, count: int) -> np.ndarray:
    """Return the pairs that `mprd answer` would show, as training rows (count, 2)."""
    index = read_artifact(cell.layout.index, INDEX)
    training_row = np.full(len(index["path"]), -1)
    rows = split_rows(index, "train")
    training_row[rows] = np.arange(len(rows))
    return np.array([training_row[list(q.rows)] for q in questions(cell.layout.folder, count)])


def random_pairs(cell: Cell, count: int) -> np.ndarray:
    """Return pairs of the last graph, all alike likely, as training rows (count, 2)."""
    pairs = graph_distance(read_artifact(cell.layout.final.graph, GRAPH)).tocoo()
    upper = np.flatnonzero(pairs.row < pairs.col)
    chosen = np.random.default_rng(cell.config.seed).choice(upper, count, replace=False)
    return np.stack([pairs.row[chosen], pairs.col[chosen]], axis=1)


def answer(cell: Cell, pairs: np.ndarray, out: Path) -> int:
    """Write the true answers to pairs of training rows; return how many are one identity."""
    index = read_artifact(cell.layout.index, INDEX)
    paths, identity = index["path"][split_rows(index, "train")], true_identities(cell.layout)
    same = (identity[pairs[:, 0]] == identity[pairs[:, 1]]).astype(int)
    columns = {"path_a": paths[pairs[:, 0]], "path_b": paths[pairs[:, 1]], "same": same}
    out.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(out, index=False)
    return int(same.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--market", type=Path, help="folder that holds Market-1501")
    parser.add_argument("--base", default="judged-weights", help="variant of learning.py")
    parser.add_argument("--counts", type=int, nargs="+", default=[50, 100, 300])
    parser.add_argument("--kinds", nargs="+", default=["asked", "random"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--iters", type=int, default=40)
    parser.add_argument("--work", type=Path, default=ROOT / "results/learning")
    options = parser.parse_args()
    set_up_cpu(None)
    folder = options.work / ("market" if options.market else "synthetic")
    choose = {"asked": asked_pairs, "random": random_pairs}
    found = []
    for seed in range(options.seeds):
        base = Cell(folder, options.base, seed, options)
        found.append({"variant": "no answers", "seed": seed, **base.run()})
        finished(base)
        for kind in options.kinds:
            for count in options.counts:
                out = folder / f"answers/{options.base}-{seed}-{kind}-{count}.csv"
                same = answer(base, choose[kind](base, count), out)
                name = f"{options.base}-{kind}-{count}"
                change = {"cluster": {"constraints": str(out)}}
                figures = Cell(folder, options.base, seed, options, change, name).run()
                found.append({"variant": f"{count} {kind}", "seed": seed, **figures})
                print(
                    f"{name} seed {seed}: {same} of one identity, mAP {figures['mAP']:.1f}",
                    flush=True,
                )
    print(table(pd.DataFrame(found), "no answers"))


if __name__ == "__main__":
    main()
