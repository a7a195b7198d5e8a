"""Small folders as a user has them: clusters before and after training, and what mprd chooses.

`python benchmarks/own_trained.py --root ROOT --work FOLDER [--start NAME=FILE ...]` draws people
from your own copy of a data set with identities, as `own_images.py` does. It links their images
into a folder, with the camera in each name and no identity, and runs `mprd new --train` and
`mprd run` there. Then it compares the clusters of the start and those of the trained network with
the true identities, which the run does not know. A folder takes minutes to an hour on two cores. A
run that was stopped goes on when the script is started again.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from common import Row, report
from own_images import IMAGENET, draws, quality

from mprd.data.datasets import read_dataset
from mprd.data.datasets.base import ImageRecord
from mprd.pipeline.layout import RunLayout
from mprd.stages.cluster_inputs import read_numbers
from mprd.starter.recipe import run_name
from mprd.starter.training import choose_training

CHANGEABLE = ("epochs", "height", "width")
CLOSE = 0.02  # pair F1: the choice counts as right if it is at most this far below the better


def link_images(
    root: Path, train: list[ImageRecord], rows: np.ndarray, folder: Path, *, times: bool
) -> np.ndarray:
    """Link images as cameraC_rowR (and _fT with times); return their identities, by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {}
    for row in rows:
        record = train[row]
        time = f"_f{int(record.time):08d}" if times else ""
        place = folder / f"camera{record.camera}{time}_row{row}{Path(record.path).suffix}"
        named[place.name] = record.identity
        if not place.exists():
            os.symlink((root / record.path).resolve(), place)
    return np.array([named[name] for name in sorted(named)])


def command(*arguments: str | Path, where: Path) -> None:
    """Run mprd as a user would."""
    words = [sys.executable, "-m", "mprd.cli", *map(str, arguments)]
    subprocess.run(words, cwd=where, check=True, stdout=subprocess.DEVNULL)


def train_folder(
    folder: Path, start: str, weights: Path | None, other: dict[str, int | None], cores: int
) -> RunLayout:
    """Write a config for the folder and a start, run it, and return where its files are.

    Args:
        folder: of the images.
        start: its name.
        weights: file that training starts from; None: the ImageNet weights.
        other: setting -> value in the place of what `mprd new` writes; None keeps that.
        cores: for `mprd run`.
    """
    name = run_name(Path(f"{folder.name}-{start}"))
    config = folder.parent / f"{name}.yaml"
    if not config.exists():
        given = ["--weights", weights.resolve()] if weights else []
        command("new", folder.name, *given, "--train", "--out", config.name, where=folder.parent)
        text = config.read_text()
        for key, value in other.items():
            if value is not None:
                text = re.sub(rf"^( *{key}): \d+", rf"\g<1>: {value}", text, flags=re.M)
        config.write_text(text)
    command("run", config.name, "--cores", str(cores), where=folder.parent)
    return RunLayout(folder.parent / "results" / name)


def score(table: Path, identity: np.ndarray) -> np.ndarray:
    """Return pair F1, adjusted Rand index and B-cubed F1 of a `clusters.csv`."""
    numbers = read_numbers(table).sort_index()
    return np.array(quality(numbers.to_numpy(), identity))


def summary(start: str, people: int, scores: np.ndarray, images: int) -> list[Row]:
    """Return the rows of one start.

    Args:
        start: its name.
        people: of each folder.
        scores: float (draws, 2, 3): before and after training; F1, ARI, B-cubed.
        images: of a folder, the mean.
    """
    size = f"{people} people, {len(scores)} draws"
    rows = []
    for place, name in enumerate(("clusters of the start", "trained")):
        f1, ari, cubed = scores[:, place].mean(axis=0)
        result = f"F1 {f1:.2f} +- {scores[:, place, 0].std():.2f}"
        result += f", ARI {ari:.2f}, B-cubed {cubed:.2f}"
        single = " ".join(f"{value:.3f}" for value in scores[:, place, 0])
        rows.append(Row(f"{start}: {name}", size, result, detail=f"each draw: {single}"))
    kind = "imagenet" if start == IMAGENET else "weights"
    trains = bool(choose_training(images, kind).epochs)
    before, after = scores[:, 0, 0], scores[:, 1, 0]
    chosen = after if trains else before
    right = int((chosen >= np.maximum(before, after) - CLOSE).sum())
    difference = after - before
    rows.append(
        Row(
            f"{start}: what mprd new chooses ({'training' if trains else 'no training'})",
            size,
            f"within {CLOSE} of the better in {right} of {len(scores)}",
            target="9 of 10",
            met=right >= 0.9 * len(scores),
            detail=f"trained - start: {difference.mean():+.3f} +- {difference.std():.3f}",
        )
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--dataset", default="market1501", help="its name, as data.dataset")
    parser.add_argument("--work", type=Path, required=True, help="folder for images and runs")
    parser.add_argument(
        "--start", action="append", default=[], metavar="NAME=FILE", help="a weights file"
    )
    parser.add_argument("--people", type=int, default=25)
    parser.add_argument("--draws", type=int, default=5)
    for key in CHANGEABLE:
        parser.add_argument(f"--{key}", type=int, help="other than what mprd new writes")
    parser.add_argument("--times", action="store_true", help="file names have times, too")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the rows as JSON")
    options = parser.parse_args()
    other = {key: getattr(options, key) for key in CHANGEABLE}
    starts: dict[str, Path | None] = {IMAGENET: None}
    starts |= {name: Path(file) for name, file in (one.split("=", 1) for one in options.start)}
    listing = read_dataset(options.dataset, options.root)
    train = [record for record in listing.records if record.split == "train"]
    identity = np.array([record.identity for record in train])
    drawn = draws(identity, options.people, options.draws)
    rows = []
    for name, weights in starts.items():
        scores = []
        for number, chosen in enumerate(drawn):
            folder = options.work / f"p{options.people}-{number}{'-times' * options.times}"
            own = link_images(listing.root, train, chosen, folder, times=options.times)
            run = train_folder(folder, name, weights, other, options.cores)
            scores.append([score(run.start_table, own), score(run.final.table, own)])
        images = int(np.mean([len(one) for one in drawn]))
        rows += summary(name, options.people, np.array(scores), images)
    report(rows, options.json)


if __name__ == "__main__":
    main()
