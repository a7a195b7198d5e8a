"""Several processes that share the work: `python benchmarks/processes.py [--processes 2] [--gpu]`.

One epoch of training and a pass of embedding by the commands, in one process and in several, with
the same cores; with --gpu ResNet-50 at 256x128 on as many GPUs (NCCL). The losses of the first step
are compared; seconds are those of the steps and of the pass alone, not of the start.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from memory import commands
from runs import command

from mprd.pipeline.layout import FIRST_EPOCH, RunLayout

ON_CPU = ("2000", "512", "128", "64", "resnet18", 64, 12)
ON_GPU = ("12936", "2048", "256", "128", "resnet50", 256, 100)


def run(words: list[str]) -> str:
    """Run a command; return what it said."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return done.stdout + done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    count, dim, height, width, backbone, batch, iters = ON_GPU if options.gpu else ON_CPU
    values = {
        "model": {"backbone": backbone, "bn_group_size": 16},
        "device": "cuda" if options.gpu else "cpu",
    }
    train = {"identities": batch // 4, "instances": 4, "iters": iters, "use_ppa": False}
    train["use_hsd"] = False
    times, losses = {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = [sys.executable, Path(__file__).with_name("memory.py"), "--make", folder]
        subprocess.run([*script, count, dim, height, width, json.dumps(values)], check=True)
        import yaml

        settings = yaml.safe_load((folder / "config.yaml").read_text())
        settings["train"] |= train
        layout = RunLayout(folder)
        layout.config.write_text(yaml.safe_dump(settings))
        for words in commands(folder, images=False, gcn=False).values():
            run(words)
        for processes in (1, options.processes):
            config = folder / f"{processes}.yaml"
            config.write_text(yaml.safe_dump(settings | {"processes": processes}))
            said = run(command("train", layout, config, FIRST_EPOCH))
            times["train", processes] = float(re.search(r"steps in (\d+) s", said)[1])
            metrics = json.loads(layout.epoch(FIRST_EPOCH).metrics.read_text())
            losses[processes] = metrics["step_loss"][0]
            said = run(command("features", layout, config, FIRST_EPOCH + 1))
            times["features", processes] = shown(said)
    difference = abs(losses[1] - losses[options.processes])
    rows = []
    for stage in ("features", "train"):
        one, many = times[stage, 1], times[stage, options.processes]
        rows.append(
            {
                "what": f"{stage} in {options.processes} processes, {values['device']}",
                "size": f"{backbone}, {height}x{width}, {count} images"
                + (f", B={batch}" if stage == "train" else ""),
                "result": f"{one / many:.2f}x one process",
                "target": "",
                "met": None,
                "detail": f"{many:.1f} s against {one:.1f} s; the first loss differs by "
                f"{difference:.0e}",
            }
        )
        print(*rows[-1].values(), sep=" | ", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows), encoding="utf-8")


def shown(said: str) -> float:
    """Return the seconds of a pass, by the rate of its last line of progress."""
    found = re.findall(r"features: (\d+) of \d+, +([\d.]+)(batch/s|s/batch)", said)
    batches, rate, unit = found[-1]
    return int(batches) / float(rate) if unit == "batch/s" else int(batches) * float(rate)


if __name__ == "__main__":
    main()
