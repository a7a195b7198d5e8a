"""What an epoch of each rival costs: `python benchmarks/cost.py`.

Each variant of learning.py runs two epochs in a process of its own; of the second: images a second
in training, seconds for labelling (features, graph, judgements, clusters), and the peak memory.
`--market ROOT` measures them on learning.py's part of a copy of Market-1501.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from learning import EVERY, RIVALS, ROOT, Cell, cell_folder

from mprd.system.torch_setup import set_up_cpu

EPOCHS = 2


def measure(variant: str, options: argparse.Namespace) -> dict:
    """Run the epochs of one variant here; return the metrics of the last."""
    options.epochs = EPOCHS
    cell = Cell(cell_folder(options.work, options.market), variant, 0, options)
    cell.start()
    for epoch in range(1, EPOCHS + 1):
        begin = time.perf_counter()
        cell.label(epoch)
        labelled = time.perf_counter()
        cell.train(epoch)
        trained = time.perf_counter()
    images = cell.config.train.identities * cell.config.train.instances * options.iters
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "variant": variant,
        "images/s": images / (trained - labelled),
        "labelling, s": labelled - begin,
        "peak, GiB": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=EVERY, help="only this one, and print JSON")
    parser.add_argument("--market", type=Path, help="folder that holds Market-1501")
    parser.add_argument("--iters", type=int, default=40)
    parser.add_argument("--work", type=Path, default=ROOT / "results/cost")
    options = parser.parse_args()
    set_up_cpu(None)
    if options.variant:
        print(json.dumps(measure(options.variant, options)))
        return
    rows = []
    for variant in RIVALS:
        command = [sys.executable, __file__, *sys.argv[1:], "--variant", variant]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    print(pd.DataFrame(rows).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
