"""Our step and our stages on a GPU, each beside its bare or literal counterpart.

`make bench-gpu`, or on a machine without Snakemake, bokeh and faiss:
`PYTHONPATH=. python benchmarks/gpu.py --results FILE [--rows a,b] [--market FOLDER --out FOLDER]`.

A finished row is written at once and not measured again; one that failed says why, the others go
on, and the exit code is 1. `--show` prints what a file holds. All rows but `market` take less than
eight minutes on an H200. `--device cpu --tiny` goes through all of them at toy sizes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from common import Row, report
from gpu_card import card, resnet50, step_profile
from gpu_market import market
from gpu_setup import ROOT, Bench
from gpu_stages import agreement, epoch, features, graph, relations
from gpu_steps import compiled, steps

from mprd.system.torch_setup import set_up_cpu

# What is measured, the compiled passes last: compiling takes longest.
ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "card": card,
    "lite0-256": steps(256, grouped=False),
    "lite0-256-grouped": steps(256, grouped=True),
    "lite0-64": steps(64, grouped=False),
    "lite0-64-grouped": steps(64, grouped=True),
    "profile": step_profile,
    "resnet50": resnet50,
    "features": features,
    "graph": graph,
    "epoch": epoch,
    "gcn": relations,
    "agreement": agreement,
    "lite0-256-compiled": compiled(256, grouped=False),
    "lite0-256-grouped-compiled": compiled(256, grouped=True),
    "lite0-64-compiled": compiled(64, grouped=False),
    "lite0-64-grouped-compiled": compiled(64, grouped=True),
    "market": market,
}


class Results:
    """The rows measured so far, in a JSON file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[str, dict[str, Any]] = {}
        if file.exists():
            self.rows = json.loads(file.read_text(encoding="utf-8"))["rows"]

    def done(self, name: str) -> bool:
        """Tell whether a row is there and did not fail."""
        return "error" not in self.rows.get(name, {"error": ""})

    def add(self, name: str, entry: dict[str, Any]) -> None:
        """Write a row; a kill leaves the file as it was or as it will be."""
        self.rows[name] = entry
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_suffix(".part")
        text = json.dumps({"rows": self.rows}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(self.file)

    def table(self, *, market: bool) -> list[Row]:
        """Return all rows: measured, failed and open ones."""
        found = []
        for name in ROWS:
            entry = self.rows.get(name)
            if entry is None:
                if name != "market" or market:
                    found.append(Row(name, "", "open", detail="not measured yet"))
            elif "error" in entry:
                found.append(Row(name, "", "failed", met=False, detail=entry["error"]))
            else:
                rows = [Row(**row) for row in entry["rows"]]
                found += [*rows[:-1], _with_note(rows[-1], entry)]
        return found


def _with_note(row: Row, entry: dict[str, Any]) -> Row:
    """Return a row whose details tell of memory and machine, too."""
    notes = [row.detail, entry["machine"]]
    if entry["peak_gib"] is not None:
        notes.insert(1, f"peak {entry['peak_gib']:.1f} GiB on the card")
    return Row(**(asdict(row) | {"detail": "; ".join(filter(None, notes))}))


def machine(device: torch.device) -> str:
    """Return what a row was measured on."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    return f"{name}, {os.cpu_count()} CPU cores, torch {torch.__version__}"


def measure(name: str, bench: Bench) -> dict[str, Any]:
    """Return the entry of a row; an error is part of it."""
    cuda = bench.device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    entry: dict[str, Any] = {"machine": machine(bench.device)}
    start = time.perf_counter()
    # A row that fails must not keep the card from measuring the others; the exit code tells.
    try:
        entry["rows"] = [asdict(row) for row in ROWS[name](bench)]
    except Exception as error:
        traceback.print_exc()
        entry["error"] = f"{type(error).__name__}: {error}".replace("\n", " ")[:500]
    entry["seconds"] = round(time.perf_counter() - start, 1)
    entry["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30 if cuda else None
    return entry


def chosen_rows(options: argparse.Namespace, parser: argparse.ArgumentParser) -> list[str]:
    """Return the names of the rows that this call is about."""
    if options.rows is None:
        return [name for name in ROWS if name != "market" or options.market]
    names = options.rows.split(",")
    for name in names:
        if name not in ROWS:
            parser.error(f"{name} is not one of {', '.join(ROWS)}")
    if "market" in names and options.market is None:
        parser.error("the row market needs --market FOLDER")
    return names


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and the rows to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "build/gpu.json", metavar="FILE")
    parser.add_argument("--rows", metavar="A,B", help="only these")
    parser.add_argument("--market", type=Path, metavar="FOLDER", help="that holds Market-1501")
    parser.add_argument("--epochs", type=int, default=50, help="of the row market")
    parser.add_argument("--out", type=Path, default=ROOT / "build/market", metavar="FOLDER",
                        help="what the row market leaves: model, table of epochs")  # fmt: skip
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="for 5 GB; default: a new one")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, to try the script")
    parser.add_argument("--show", action="store_true", help="measure nothing, print the results")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there")
    options = parser.parse_args()
    return options, [] if options.show else chosen_rows(options, parser)


def main() -> None:
    options, names = parse()
    device = torch.device(options.device)
    if names and device.type == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here: give --device cpu --tiny to try the script.")
        sys.exit(2)
    if names and device.type == "cpu" and not options.tiny:
        print("On a CPU these rows take hours: give --tiny as well.")
        sys.exit(2)
    results = Results(options.results)
    set_up_cpu(None)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        bench = Bench(device, options.tiny, work, options.out, options.market, options.epochs)
        for name in names:
            if results.done(name):
                continue
            print(f"== {name}", flush=True)
            entry = measure(name, bench)
            results.add(name, entry)
            print(f"== {name}: {entry['seconds']} s", flush=True)
    report(results.table(market=options.market is not None), options.json)
    if any(not results.done(name) for name in names):
        sys.exit(1)


if __name__ == "__main__":
    main()
