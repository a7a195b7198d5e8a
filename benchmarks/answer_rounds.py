"""What rounds of answers during a training are worth: `python benchmarks/answer_rounds.py`.

A training of learning.py stops after equal parts of its epochs. Each time the pairs of
`mprd answer` are answered by true identities, chosen anew every ten answers on the clusters that
the run would end with now, and all answers so far hold in the clusters of the epochs that follow
(`cluster.constrain_training`). Beside it stands the same training without answers, and with
`--kinds asked random` one that answers as many random pairs; differences are paired by seed.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from answers import random_pairs
from learning import EVERY, Cell, cell_folder, cell_options, table, true_identities

from mprd.artifacts import INDEX, read_artifact
from mprd.data.index import split_rows
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog
from mprd.errors import FINAL
from mprd.judging.questions import Planner
from mprd.stages.run_stage import make_pseudo_labels
from mprd.system.torch_setup import set_up_cpu

CHOSEN_ANEW = 10  # answers, as the page of `mprd answer` does


class Oracle:
    """Answers pairs of the training images of a cell by their true identities."""

    def __init__(self, cell: Cell, log: Path) -> None:
        index = read_artifact(cell.layout.index, INDEX, ("path", "split"))
        self.paths = index["path"][split_rows(index, "train")]
        self._identity = dict(zip(self.paths, true_identities(cell.layout), strict=True))
        self._log = DecisionLog(log)

    def answer(self, pairs: list[tuple[str, str]]) -> int:
        """Answer pairs of paths; return how many are one identity."""
        same = [self._identity[a] == self._identity[b] for a, b in pairs]
        for (a, b), one in zip(pairs, same, strict=True):
            self._log.append(Decision(Kind.SAME if one else Kind.DIFFERENT, (a,), (b,)))
        return sum(same)


def asked(cell: Cell, oracle: Oracle, log: Path, count: int) -> int:
    """Answer the pairs of `mprd answer`; return how many are one identity."""
    planner, same = Planner(cell.layout.folder), 0
    for begin in range(0, count, CHOSEN_ANEW):
        shown = planner.next(log, min(CHOSEN_ANEW, count - begin))
        same += oracle.answer([one.paths for one in shown])
    return same


def at_random(cell: Cell, oracle: Oracle, log: Path, count: int) -> int:
    """Answer random pairs of the graph; return how many are one identity."""
    pairs = oracle.paths[random_pairs(cell, count)]
    return oracle.answer([(str(a), str(b)) for a, b in pairs])


ASK: dict[str, Callable[[Cell, Oracle, Path, int], int]] = {"asked": asked, "random": at_random}


def train_with_rounds(cell: Cell, kind: str, rounds: int, count: int, log: Path) -> dict:
    """Train a cell that holds the answers of `log`; return the metrics of its last epoch."""
    epochs, layout, config = cell.config.epochs, cell.layout, cell.config
    stops = {epochs * part // (rounds + 1) for part in range(1, rounds + 1)}
    if not layout.evaluation(f"{epochs:03d}").is_file():
        cell.start()
        log.unlink(missing_ok=True)  # of a training that was broken off
        oracle = Oracle(cell, log)
        for epoch in range(1, epochs + 1):
            cell.label(epoch)
            cell.train(epoch)
            if epoch in stops:
                now = config.model_copy(update={"epochs": epoch})
                make_pseudo_labels(layout, FINAL, now)
                same = ASK[kind](cell, oracle, log, count)
                print(f"after epoch {epoch}: {same} of {count} pairs are one identity", flush=True)
    return cell.run()


def main() -> None:
    parser = cell_options(__doc__)
    parser.add_argument("--base", default="linkage-time", choices=EVERY)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=100, help="answers of a round")
    parser.add_argument("--kinds", nargs="+", default=["asked"], choices=ASK)
    options = parser.parse_args()
    set_up_cpu(None)
    folder = cell_folder(options.work, options.market, options.manifest)
    found = []
    for seed in range(options.seeds):
        metrics = Cell(folder, options.base, seed, options).run()
        found.append({"variant": "none", "seed": seed, **metrics})
        for kind in options.kinds:
            name = f"{options.base}-{kind}-{options.rounds}x{options.count}"
            log = folder / f"answers/{name}-{seed}.csv"
            change = {"cluster": {"constraints": str(log), "constrain_training": True}}
            cell = Cell(folder, options.base, seed, options, change, name)
            metrics = train_with_rounds(cell, kind, options.rounds, options.count, log)
            found.append({"variant": name, "seed": seed, **metrics})
        print(table(pd.DataFrame(found), "none"), flush=True)


if __name__ == "__main__":
    main()
