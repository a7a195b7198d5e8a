"""Run the benchmarks and write RESULTS.md: `make bench`, `make bench-large`.

Rows of earlier runs stay until they are measured again, so that the large sizes and a GPU's rows
can be added one by one. `python benchmarks/run.py NAME ...` runs only these. With `--measured FILE`
it takes what gpu.py measured on a machine without `make`.
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
from importlib.metadata import distributions, version
from pathlib import Path

HERE = Path(__file__).parent
STORE, RESULTS = HERE / "results.json", HERE / "RESULTS.md"
CARD = HERE.parent / "build/gpu.json"  # rows of gpu.py, until all of them are there

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
    "gpu": ["--results", str(CARD)],
    "training": ["--device", "cuda", "--n", "12936"],
    "batchnorm": ["--device", "cuda"],
    "relations": ["--device", "cuda"],
    "market_epoch": [],
}

HEAD = """# Results of the benchmarks

Written by `make bench` (`make bench-large`, `make bench-gpu` for the rows named so); do not edit.
Ours and a literal version of the same algorithm run in turns in one process; a figure is the median
of several runs. The machines are shared, so trust ratios rather than seconds. An open row of the
section gpu has not run since the code that it measures changed; "gpu, before" is the last
measurement on a card, of the code of that time.
"""


def run(name: str, options: list[str]) -> list[dict]:
    """Run one script; return its rows. A script that writes them tells failures among them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, HERE / f"{name}.py", "--json", out, *options]
        if subprocess.run(command).returncode and not out.exists():
            raise SystemExit(f"benchmarks/{name}.py failed")
        return json.loads(out.read_text(encoding="utf-8"))


def machine() -> str:
    """Return what the figures belong to, in a line."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    installed = {d.name for d in distributions()}
    names = [p for p in ("numpy", "numba", "torch", "faiss-cpu", "faiss-gpu") if p in installed]
    packages = ", ".join(f"{p} {version(p)}" for p in names)
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


def read_store() -> dict:
    """Return what earlier runs found."""
    return json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}


def write(store: dict, section: str, rows: list[dict], machine: str, seconds: float) -> None:
    """Put rows into the store and into RESULTS.md."""
    store[section] = {
        "rows": rows,
        "machine": machine,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": seconds,
    }
    STORE.write_text(json.dumps(store, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    RESULTS.write_text(render(store), encoding="utf-8")


def take_measured(file: Path) -> None:
    """Write the section gpu from a file that gpu.py wrote, here or on another machine."""
    rows = run("gpu", ["--show", "--results", str(file)])
    entries = json.loads(file.read_text(encoding="utf-8"))["rows"].values()
    machines = ", ".join(sorted({entry["machine"] for entry in entries})) or "not run yet"
    write(read_store(), "gpu", rows, machines, sum(entry["seconds"] for entry in entries))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--large", action="store_true", help="the sizes that take minutes each")
    group.add_argument("--gpu", action="store_true", help="the rows that need a CUDA device")
    group.add_argument("--measured", type=Path, metavar="FILE", help="take the results of gpu.py")
    options = parser.parse_args()
    if options.measured:
        take_measured(options.measured)
        return
    known = LARGE if options.large else GPU if options.gpu else NORMAL
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"{sorted(unknown)[0]} is not one of {', '.join(known)}")
    store = read_store()
    suffix = " (large)" if options.large else " (GPU)" if options.gpu else ""
    for name in options.names or known:
        print(f"== {name}{suffix}", flush=True)
        start = time.perf_counter()
        rows = run(name, known[name])
        section = name if name == "gpu" else name + suffix
        write(store, section, rows, machine(), time.perf_counter() - start)
        if name == "gpu" and all(row["result"] not in ("open", "failed") for row in rows):
            CARD.unlink()


if __name__ == "__main__":
    main()
