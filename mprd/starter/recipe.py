"""Settings for a survey, how long they will take, and the config file that holds them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from mprd.artifacts import atomic
from mprd.clustering.from_features import features_config
from mprd.config import validate
from mprd.errors import UserError, is_utf8, pasted, visible
from mprd.starter.start import Start
from mprd.starter.survey import Survey
from mprd.starter.training import EPOCHS, FEW_EPOCHS, SMALL
from mprd.system.durations import epoch_seconds

# Images a second of EfficientNet-lite0 at 128x64 on one CPU core (docs/explanation/learning.md).
_EMBEDDED = 375
_PIXELS = 128 * 64
_JOB_SECONDS = 8  # start of a process, GCN and clusters of a small set, for each epoch
_UNTRAINED_SECONDS = 40  # start of the processes of a run without epochs
_BATCH = 64
_PASSES = 4  # over the images, in each epoch
_ON_GPU = 20  # times as fast
_LONGEST = 100  # characters of a run's name
_THRESHOLD = 0.6  # of average linkage in a long training (config/market1501_cpu.yaml)


@dataclass(frozen=True)
class Recipe:
    """Settings that depend on the images.

    Attributes:
        height: of the resized image, pixels; a multiple of 32.
        width: likewise.
        alignment: `graph.cameras`.
        sampler: `train.sampler`.
        memory: `train.memory`.
        k1: `graph.k1`.
        k2: `graph.k2`.
        epochs: `epochs`.
        epochs_per_job: `epochs_per_job`.
        iters: `train.iters`.
        identities: `train.identities`.
        instances: `train.instances`.
        lr_step: `train.lr_step`.
        backend: `graph.backend`.
        times: they are known and correct distances (`use_time`).
        threshold: `cluster.threshold` of average linkage; None: communities of the relation GCN's
            predictions.
        few: images; settings for a short training.
    """

    height: int
    width: int
    alignment: str
    sampler: str
    memory: str
    k1: int
    k2: int
    epochs: int
    epochs_per_job: int
    iters: int
    identities: int
    instances: int
    lr_step: int
    backend: str
    times: bool
    threshold: float | None
    few: bool


def recipe(found: Survey, size: tuple[int, int] | None = None) -> Recipe:
    """Choose settings for what was found.

    Args:
        found: in the folder.
        size: height and width of the images that the start wants; None: by their shape.
    """
    height, width = size or image_size(found.aspect)
    several, few = len(found.cameras) > 1, found.images < SMALL
    # Few neighbours where people have few images: about a twelfth of a small set.
    k1 = min(30, max(8, found.images // 12))  # the GCN wants 7 neighbours
    k2, times = max(2, k1 // 5), found.times is not None
    # A deviation wants some dozens of images; a mean does with fewer.
    alignment = ("standardize" if found.fewest >= 30 else "center") if several else "none"
    epochs, threshold = EPOCHS, _THRESHOLD if times else None
    if few:
        start = features_config(several_cameras=several)
        k1, k2, alignment = start.graph.k1, start.graph.k2, start.graph.cameras
        threshold = start.cluster.threshold
        epochs = FEW_EPOCHS
    return Recipe(
        height=height,
        width=width,
        alignment=alignment,
        sampler="cameras" if several else "random",
        memory="camera" if several else "cluster",
        k1=k1,
        k2=k2,
        epochs=epochs,
        epochs_per_job=epochs if few else 5 if found.images < 5000 else 1,
        iters=min(400, max(25, _PASSES * found.images // _BATCH)),
        identities=min(16, max(2, found.images // 8)),
        instances=4,
        lr_step=epochs if few else epochs * 3 // 4,
        backend="auto" if found.images < 200_000 else "ivf",
        times=times,
        threshold=threshold,
        few=few,
    )


def seconds(plan: Recipe, found: Survey, step: float) -> float:
    """Return how long a run will take, about.

    Args:
        plan: its settings.
        found: its images.
        step: seconds that a training step takes.
    """
    work = epoch_seconds(
        step=step,
        iters=plan.iters,
        batch=plan.identities * plan.instances,
        images=found.images,
        start=0,
        epochs_per_job=plan.epochs_per_job,
    )
    return plan.epochs * (work + _JOB_SECONDS)


def untrained_seconds(
    found: Survey, size: tuple[int, int], cores: int, *, gpu: bool = False, rate: float | None
) -> float:
    """Return how long a run without epochs will take, about.

    Args:
        found: its images.
        size: their height and width.
        cores: CPU cores.
        gpu: there is a GPU.
        rate: images that a core embeds in a second; None: that of EfficientNet-lite0.
    """
    rate = rate or _EMBEDDED * _PIXELS / (size[0] * size[1])
    return found.images / rate / (_ON_GPU if gpu else cores) + _UNTRAINED_SECONDS


def image_size(aspect: float) -> tuple[int, int]:
    """Return height and width for a median of height / width."""
    if aspect >= 1.4:
        return 128, 64
    return (96, 96) if aspect > 1 / 1.4 else (64, 128)


def write_config(
    out: Path, found: Survey, plan: Recipe, duration: str, start: Start | None = None
) -> None:
    """Write the settings with a word on each, and check them.

    Args:
        out: YAML to write; not overwritten.
        found: what the settings are for.
        plan: the settings.
        duration: in words, how long a run takes.
        start: weights; None: the ImageNet weights that come with mprd.

    Raises:
        UserError: the file exists.
    """
    passes = f"{plan.iters * plan.identities * plan.instances / found.images:.1f}"
    _write(out, "config.yaml.j2", found, plan=plan, duration=duration, start=start, passes=passes)


def write_features_config(out: Path, found: Survey, features: Path) -> None:
    """Write the settings of a run with the features of another network, and check them.

    Args:
        out: YAML to write; not overwritten.
        found: what the settings are for.
        features: `data.features`.

    Raises:
        UserError: the file exists.
    """
    _write_untrained(out, found, image_size(found.aspect), features=features)


def write_untrained_config(
    out: Path,
    found: Survey,
    size: tuple[int, int],
    duration: str,
    why: str,
    start: Start | None = None,
) -> None:
    """Write the settings of a run that clusters the features of its start, and check them.

    Args:
        out: YAML to write; not overwritten.
        found: what the settings are for.
        size: height and width of the images.
        duration: in words, how long a run takes.
        why: it does not train.
        start: weights; None: the ImageNet weights that come with mprd.

    Raises:
        UserError: the file exists.
    """
    _write_untrained(out, found, size, start=start, duration=duration, why=why)


def _write_untrained(
    out: Path,
    found: Survey,
    size: tuple[int, int],
    *,
    features: Path | None = None,
    start: Start | None = None,
    duration: str = "",
    why: str = "",
) -> None:
    """Write settings with the clusters that were best for features as they are."""
    settings = features_config(several_cameras=len(found.cameras) > 1)
    _write(
        out,
        "untrained.yaml.j2",
        found,
        features=features,
        start=start,
        duration=duration,
        why=why,
        height=size[0],
        width=size[1],
        graph=settings.graph,
        cluster=settings.cluster,
    )


def _write(out: Path, template: str, found: Survey, **values: Any) -> None:
    """Write a config from a template, and check it."""
    if out.exists():
        raise UserError(f"{out} exists. Name another file with --out, or remove it.")
    environment = Environment(
        loader=PackageLoader("mprd.starter"),
        trim_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["yaml"] = _yaml
    text = environment.get_template(template).render(
        name=run_name(out), file=visible(pasted(out)), found=found, **values
    )
    validate(yaml.safe_load(text), str(out))
    with atomic(out, lock=False) as temporary:
        temporary.write_text(text, encoding="utf-8")


def run_name(path: Path) -> str:
    """Return a name for a run, and its folder, from the name of a folder or file."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-").lower()
    return words[:_LONGEST].rstrip("-") or "own"


def _yaml(value: Any) -> str:
    """Return a string as YAML in one line, quoted where it must be."""
    if not is_utf8(value):
        raise UserError(f"'{value}' is no UTF-8, which a name in a config must be. Rename it.")
    text = yaml.safe_dump(value, width=10**6).removesuffix("\n").removesuffix("\n...")
    return text if "\n" not in text else json.dumps(value)
