"""How long a stage's process takes before it works: `python benchmarks/startup.py`.

A stage on 200 images has hardly anything to do: its time is that of its start.
"""

import subprocess
import tempfile
import time
from pathlib import Path

import fabricate
from common import Row, arguments, report
from memory import commands
from runs import PROGRAM

from mprd.config import dump_yaml

LIMITS = {"graph": 1.2, "cluster": 1.2, "features": 3.5, "train": 3.5, "evaluate": 3.5}


def seconds(words: list[str], runs: int) -> float:
    """Return the best time of a command: what it costs when nothing else disturbs it."""
    times = []
    for _ in range(runs + 1):  # the first one fills the disk cache
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main() -> None:
    options = arguments(__doc__, runs=5)
    rows = []

    def add(what: str, taken: float, limit: float) -> None:
        result, target = f"{taken:.2f} s", f"{limit:g} s"
        rows.append(Row(what, "warm disk cache, best of several", result, target, taken <= limit))

    add("`mprd --help`", seconds([str(PROGRAM), "--help"], options.runs), 0.3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = fabricate.config(
            data={"dataset": "folder", "height": 64, "width": 32},
            model={"backbone": "mini"},
            graph={"k1": 20, "k2": 3},
            train={"iters": 1},
        )
        (folder / "config.yaml").write_text(dump_yaml(settings), encoding="utf-8")
        fabricate.write_index(folder, 200, 20, 100)
        fabricate.write_pixels(folder, 64, 32)
        fabricate.write_model(folder, settings)
        fabricate.write_features(folder, 192)
        for stage, words in commands(folder, images=True, gcn=False).items():
            taken = seconds(words, options.runs)
            add(f"stage {stage} on 200 images, whole process", taken, LIMITS[stage])
    report(rows, options.json)


if __name__ == "__main__":
    main()
