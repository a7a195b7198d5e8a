"""Run the benchmarks and write RESULTS.md: `make bench`, `make bench-large`.

Rows of earlier runs stay until they are measured again, so that the large sizes and a GPU's rows
can be added one by one. `python benchmarks/run.py NAME ...` runs only these.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
STORE, RESULTS = HERE / "results.json", HERE / "RESULTS.md"

NORMAL = {
    "jaccard": [],
    "linkage": [],
    "neighbors": [],
    "evaluation": [],
    "audit": [],
    "losses": [],
    "training": [],
    "batchnorm": [],
    "relations": [],
    "pixels": [],
    "reading": [],
    "storage": [],
    "camera_ranks": [],
    "startup": [],
    "dag": [],
    "memory": [],
    "growth": [],
}
LARGE = {
    "jaccard": ["--large"],
    "linkage": ["--large"],
    "camera_ranks": ["--large"],
    "growth": ["--large"],
    "memory": ["--large"],
}
GPU = {
    "training": ["--device", "cuda", "--n", "12936"],
    "batchnorm": ["--device", "cuda"],
    "relations": ["--device", "cuda"],
    "market_epoch": [],
}

HEAD = """# Results of the benchmarks

Written by `make bench` (`make bench-large`, `make bench-gpu` for the rows named so); do not edit.
Ours and a literal version of the same algorithm run in turns in one process; a figure is the median
of several runs. The machines are shared, so trust ratios rather than seconds. A missing GPU section
means that no GPU was at hand.
"""


def run(name: str, options: list[str]) -> list[dict]:
    """Run one script; return its rows."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, HERE / f"{name}.py", "--json", out, *options]
        if subprocess.run(command).returncode:
            raise SystemExit(f"benchmarks/{name}.py failed")
        return json.loads(out.read_text(encoding="utf-8"))


def machine() -> str:
    """Return what the figures belong to, in a line."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = ", ".join(f"{p} {version(p)}" for p in ("numpy", "numba", "torch", "faiss-cpu"))
    return (
        f"{cpus} CPU cores ({platform.machine()}), Python {platform.python_version()}, {packages}"
    )


def render(store: dict) -> str:
    """Return RESULTS.md."""
    text = HEAD
    for section, entry in sorted(store.items()):
        text += (
            f"\n## {section}\n\n{entry['machine']}; {entry['date']}, {entry['seconds']:.0f} s.\n"
        )
        text += "\n| what | size | result | target | | details |\n|---|---|---|---|---|---|\n"
        for row in entry["rows"]:
            verdict = {True: "met", False: "**missed**", None: ""}[row["met"]]
            cells = (row["what"], row["size"], row["result"], row["target"], verdict, row["detail"])
            text += f"| {' | '.join(cells)} |\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--large", action="store_true", help="the sizes that take minutes each")
    group.add_argument("--gpu", action="store_true", help="the rows that need a CUDA device")
    options = parser.parse_args()
    known = LARGE if options.large else GPU if options.gpu else NORMAL
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"{sorted(unknown)[0]} is not one of {', '.join(known)}")
    store = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    suffix = " (large)" if options.large else " (GPU)" if options.gpu else ""
    for name in options.names or known:
        print(f"== {name}{suffix}", flush=True)
        start = time.perf_counter()
        rows = run(name, known[name])
        store[name + suffix] = {
            "rows": rows,
            "machine": machine(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "seconds": time.perf_counter() - start,
        }
        STORE.write_text(json.dumps(store, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        RESULTS.write_text(render(store), encoding="utf-8")


if __name__ == "__main__":
    main()
