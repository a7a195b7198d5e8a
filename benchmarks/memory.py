"""Peak memory of every stage against its formula: `python benchmarks/memory.py`.

Each stage runs as a command of its own on fabricated artifacts; what it says it needs is compared
with its largest resident set. This process stays small: a child begins with its parent's peak.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from runs import command

from mprd.pipeline.files import Step
from mprd.pipeline.layout import FIRST_EPOCH, INITIAL, RunLayout

# Name, training images, embedding size, height, width, backbone, settings.
SMALL = [
    ("D=192", 8_000, 192, 64, 32, "mini", {}),
    ("D=192, use_gcn", 8_000, 192, 64, 32, "mini", {"use_gcn": True}),
    ("D=512", 2_000, 512, 128, 64, "resnet18", {}),
    ("D=256", 20_000, 256, 0, 0, "mini", {}),
    ("D=2048", 12_936, 2048, 0, 0, "mini", {}),
    ("D=2048, centred", 12_936, 2048, 0, 0, "mini", {"graph": {"cameras": "center"}}),
    ("D=128", 100_000, 128, 0, 0, "mini", {}),
    ("D=128, ivf", 100_000, 128, 0, 0, "mini", {"graph": {"backend": "ivf"}}),
]
LARGE = [
    ("D=2048", 1_000, 2048, 256, 128, "resnet50", {}),
    ("D=128, ivf", 1_000_000, 128, 0, 0, "mini", {"graph": {"backend": "ivf"}}),
]
TOLERANCE = (1.0, 2.0)  # an upper estimate, and not a useless one


def make(folder: Path, count: int, dim: int, height: int, width: int, values: dict) -> None:
    """Write the inputs of all stages, in a process of its own."""
    import fabricate

    from mprd.config import dump_yaml, merge

    base = {
        "data": {"dataset": "folder", "height": height or 64, "width": width or 32},
        "train": {"iters": 4},
        "gcn": {"pretrain": {"metadata": 10, "unlabelled": 20}},
    }
    settings = fabricate.config(**merge(base, values))
    (folder / "config.yaml").write_text(dump_yaml(settings), encoding="utf-8")
    others = (count // 10, count // 2) if height else (0, 0)
    fabricate.write_index(folder, count, *others)
    if height:
        fabricate.write_pixels(folder, height, width)
        fabricate.write_model(folder, settings)
    fabricate.write_features(folder, dim)


def commands(folder: Path, *, images: bool, gcn: bool) -> dict[str, list[str]]:
    """Return the commands of the stages to measure, in order.

    Args:
        folder: of the run; its settings lie there.
        images: it has images.
        gcn: it has a relation GCN, whose stages are measured instead of those with images only.
    """
    jobs: dict[str, Step] = {"graph": FIRST_EPOCH, "cluster": FIRST_EPOCH}
    if images and gcn:
        jobs |= {"metadata": None, "pretrain": None, "train": FIRST_EPOCH, "learn": FIRST_EPOCH}
    elif images:
        jobs |= {"train": FIRST_EPOCH, "features": FIRST_EPOCH + 1, "evaluate": INITIAL}
    run = RunLayout(folder)
    return {name: command(name, run, run.config, step) for name, step in jobs.items()}


def peak(stage: str, words: list[str]) -> tuple[float, float]:
    """Run the command of a stage; return what it said it needs and what it took, MiB."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        log.seek(0)
        text = log.read()
    said = re.search(rf"mprd {stage}: needs about ([0-9.]+) GiB", text)
    if status or not said:
        raise SystemExit(f"{stage} failed: {text[-2000:]}")
    return 1024 * float(said[1]), usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--make", nargs=6)
    options = parser.parse_args()
    if options.make:
        folder, *sizes, values = options.make
        make(Path(folder), *map(int, sizes), json.loads(values))
        return
    rows = []
    for name, count, dim, height, width, backbone, values in LARGE if options.large else SMALL:
        with tempfile.TemporaryDirectory() as folder:
            values = {**values, "model": {"backbone": backbone}}
            sizes = [str(n) for n in (count, dim, height, width)]
            script = [sys.executable, __file__, "--make", folder, *sizes, json.dumps(values)]
            subprocess.run(script, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            gcn = values.get("use_gcn", False)
            for stage, words in commands(Path(folder), images=height > 0, gcn=gcn).items():
                need, found = peak(stage, words)
                low, high = TOLERANCE
                rows.append(
                    {
                        "what": f"memory of stage {stage}",
                        "size": f"N={count:,}, {name}" + (f", {backbone}" if height else ""),
                        "result": f"{found:,.0f} MiB, estimated {need:,.0f}",
                        "target": f"estimate {low:g} to {high:g} times",
                        "met": low <= need / found <= high,
                        "detail": f"{need / found:.2f} times",
                    }
                )
                print(*rows[-1].values(), sep=" | ", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
