"""What a person's answers are worth, in the loop: `python benchmarks/answers.py`.

A run is trained, pairs of it are answered (by true identities, without a mistake), and a second run
holds the answers as constraints of its clusters: from the start, or (`--more`) for some epochs from
the model of the first, beside the same without answers and with true clusters. Asked are the pairs
of `mprd answer`, or pairs drawn from the graph at random. The runs are cells of learning.py, in the
same folder; differences to the run without answers are paired by seed.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from learning import Cell, cell_folder, cell_options, table, true_identities

from mprd.artifacts import GRAPH, INDEX, read_artifact
from mprd.clustering.graph_matrix import graph_distance
from mprd.data.index import split_rows
from mprd.errors import FINAL
from mprd.judging.questions import questions
from mprd.stages.run_stage import make_pseudo_labels
from mprd.system.torch_setup import set_up_cpu


def finished(cell: Cell) -> None:
    """Label the images by the last model of a cell, as a run does at its end."""
    if not cell.layout.final.clusters.is_file():
        make_pseudo_labels(cell.layout, FINAL, cell.config)


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


CHOOSE: dict[str, Callable[[Cell, int], np.ndarray]] = {
    "asked": asked_pairs,
    "random": random_pairs,
}


def second(base: Cell, folder: Path, options: argparse.Namespace, kind: str, count: int) -> dict:
    """Train the second run; return its figures."""
    seed, change = base.config.seed, {}
    variant = "oracle-clusters" if kind == "true" else options.base
    name = f"{options.base}-{kind}-{count}"
    if kind in CHOOSE:
        out = folder / f"answers/{name}-{seed}.csv"
        same = answer(base, CHOOSE[kind](base, count), out)
        print(f"{name} seed {seed}: {same} of {count} pairs are one identity", flush=True)
        change = {"cluster": {"constraints": str(out), "constrain_training": True}}
    if options.more:
        name += f"-more-{options.more}"
        change["epochs"] = options.more
    cell = Cell(folder, variant, seed, options, change, name)
    if options.more:
        start = cell.layout.initial_model
        start.parent.mkdir(parents=True, exist_ok=True)
        if not start.exists():
            start.symlink_to(base.layout.model_after(base.config.epochs).resolve())
    figures = cell.run()
    print(f"{name} seed {seed}: mAP {figures['mAP']:.1f}", flush=True)
    return {"variant": f"{kind} {count or ''}", "seed": seed, **figures}


def main() -> None:
    parser = cell_options(__doc__)
    parser.add_argument("--base", default="judged-weights", help="variant of learning.py")
    parser.add_argument("--counts", type=int, nargs="+", default=[50, 100, 300])
    parser.add_argument("--kinds", nargs="+", default=["asked", "random"], choices=CHOOSE)
    parser.add_argument("--more", type=int, default=0, help="go on for so many epochs")
    options = parser.parse_args()
    set_up_cpu(None)
    folder = cell_folder(options.work, options.market, options.manifest)
    found = []
    for seed in range(options.seeds):
        base = Cell(folder, options.base, seed, options)
        first = base.run()
        finished(base)
        cells = [(kind, count) for kind in options.kinds for count in options.counts]
        if options.more:
            cells = [("none", 0), *cells, ("true", 0)]
        else:
            found.append({"variant": "none ", "seed": seed, **first})
        found += [second(base, folder, options, *cell) for cell in cells]
    print(table(pd.DataFrame(found), "none "))


if __name__ == "__main__":
    main()
