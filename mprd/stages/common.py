"""What several stages share: the index of a run, the images of a split, a lock on the result."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

from mprd.artifacts import INDEX, Artifact, read_artifact
from mprd.artifacts.files import only_writer
from mprd.config import Config
from mprd.data.datasets.base import outside
from mprd.errors import UserError
from mprd.pipeline.layout import EpochLayout, FinalLayout

_P = ParamSpec("_P")
_R = TypeVar("_R")

if TYPE_CHECKING:  # stages without torch use this module too
    import torch

    from mprd.data.pixels import PixelStore
    from mprd.models.network import ReidNetwork


def exclusive(stage: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a stage wait for any other process that makes the same `out`.

    A stage can outlive a workflow that was killed; begun again beside it, it would do the same work
    at the same time.

    Args:
        stage: a function with the keyword `out`, a path or the layout of a folder.
    """

    @wraps(stage)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        out = kwargs["out"]
        if isinstance(out, EpochLayout | FinalLayout):
            out = out.model
        assert isinstance(out, Path)
        # Nothing is left behind by a stage that refuses; Snakemake makes the folder before.
        with only_writer(out) if out.parent.is_dir() else nullcontext():
            return stage(*args, **kwargs)

    return run


def require_inside(root: Path, paths: Sequence[str], config: Config) -> None:
    """Check that no image lies outside of the folder of its data set, unless that is allowed.

    Args:
        root: the folder.
        paths: of the images, relative to it or absolute.
        config: `data.allow_outside` is read.

    Raises:
        UserError: one lies outside.
    """
    found = [] if config.data.allow_outside else [path for path in paths if outside(path)]
    if found:
        raise UserError(
            f"'{found[0]}' lies outside of {root} ({len(found)} of {len(paths)} images do). If "
            "they are meant to be read, set data.allow_outside to true."
        )


def read_index(path: Path) -> Artifact:
    """Read `index.h5`."""
    return read_artifact(path, INDEX)


def open_store(
    pixels: Path, index: Artifact, rows: np.ndarray, device: "torch.device"
) -> "PixelStore":
    """Open the images of some rows and check that they belong to the index.

    Raises:
        UserError: the pixels were made from another index.
    """
    from mprd.data.pixels import PixelStore

    store = PixelStore(pixels, rows, device)
    if store.index_digest != index.digest:
        raise UserError(
            f"{pixels} was made from another index than {index.path}: it is stale or belongs to "
            "another run. Make it again with `mprd pixels`."
        )
    return store


def require_for_inference(
    stage: str, network: "ReidNetwork", store: "PixelStore", more: int = 0
) -> None:
    """Check that there is memory to embed a store.

    Args:
        stage: its name.
        network: on the CPU, in eval mode.
        store: the images.
        more: bytes that the stage takes beside that.

    Raises:
        UserError: more is needed than is free.
    """
    from mprd.inference.embed import largest_map
    from mprd.system.ram import held_pixels, inference_bytes, require

    embeddings = 4 * len(store) * network.dim
    largest = largest_map(network, store.device)
    need = inference_bytes(largest, held_pixels(store.size), embeddings)
    require(stage, need + more, "Take a machine with more memory, or a smaller data.height/width.")


def require_for_training(
    stage: str, network: "ReidNetwork", store: "PixelStore", images: int, more: int = 0
) -> None:
    """Check that there is memory for training steps.

    Args:
        stage: its name.
        network: on the CPU, in eval mode.
        store: the training images.
        images: in a step, all views.
        more: bytes that the stage takes beside that.

    Raises:
        UserError: more is needed than is free.
    """
    from mprd.models.footprint import footprint
    from mprd.system.ram import held_pixels, require, training_bytes

    sizes = footprint(network)
    # On a GPU the feature maps are on the card.
    activations = sizes.activations if store.device.type == "cpu" else 0
    need = training_bytes(activations, images, sizes.weights, held_pixels(store.size))
    require(stage, need + more, "Set a smaller batch, data.height or data.width.")
