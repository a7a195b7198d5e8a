"""How long the workflow takes to plan: `python benchmarks/dag.py`."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Row, arguments, report

ROOT = Path(__file__).parents[1]
CONFIG = """
epochs: {epochs}
runs: {runs}
init: {{method: random}}
data: {{dataset: synthetic}}
"""
JUDGED = """
use_gcn: true
cluster: {{method: community, relation: judged}}
"""


def plan(epochs: int, seeds: int, more: str = "") -> tuple[float, int, str]:
    """Return the seconds of a dry run, the number of jobs, and its error."""
    runs = "{" + ", ".join(f"run{s}: {{seed: {s}}}" for s in range(seeds)) + "}"
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text((CONFIG + more).format(epochs=epochs, runs=runs), encoding="utf-8")
        command = [
            *(Path(sys.executable).parent / "snakemake", "--dry-run", "--quiet", "rules"),
            *("--snakefile", ROOT / "Snakefile", "--directory", folder, "--configfile", config),
        ]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    jobs = re.search(r"^total\s+(\d+)", done.stdout + done.stderr, re.MULTILINE)
    return seconds, int(jobs[1]) if jobs else 0, "" if done.returncode == 0 else done.stderr[-300:]


def main() -> None:
    options = arguments(__doc__)
    rows = []
    cases = ((50, 3, "", 15.0), (12, 50, "", 15.0), (12, 50, JUDGED, 15.0), (200, 1, "", None))
    for epochs, seeds, more, limit in cases:
        seconds, jobs, error = plan(epochs, seeds, more)
        fine = not error and jobs > 3 * epochs * seeds
        rows.append(
            Row(
                "dry run of the workflow",
                f"{epochs} epochs x {seeds} {'judged ' if more else ''}runs, {jobs:,} jobs",
                error or f"{seconds:.1f} s",
                f"{limit:g} s" if limit else "no recursion error",
                fine and (limit is None or seconds <= limit),
            )
        )
    report(rows, options.json)


if __name__ == "__main__":
    main()
