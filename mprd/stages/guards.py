"""What stages are guarded by: a lock on their result, a fence around the data folder.

Apart from `common`, which knows networks: the code of a network must not count for stage `index`.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from mprd.artifacts.files import only_writer
from mprd.config import Config
from mprd.errors import UserError
from mprd.pipeline.layout import EpochLayout, FinalLayout
from mprd.pipeline.registry import load_plugins
from mprd.system import group

_P = ParamSpec("_P")
_R = TypeVar("_R")


def exclusive(stage: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a stage load the plugins, and wait for any other process that makes the same `out`.

    A stage can outlive a workflow that was killed; begun again beside it, it would do the same work
    at the same time.

    Args:
        stage: a function with the keywords `config`, and `out`, a path or the layout of a folder.
    """

    @wraps(stage)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        out, config = kwargs["out"], kwargs["config"]
        if isinstance(config, Config):
            load_plugins(config)
        if isinstance(out, EpochLayout | FinalLayout):
            out = out.model
        assert isinstance(out, Path)
        # Nothing is left behind by a stage that refuses; Snakemake makes the folder before.
        writes = group.writes() and out.parent.is_dir()
        with only_writer(out) if writes else nullcontext():
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
    found = [] if config.data.allow_outside else [path for path in paths if _outside(path)]
    if found:
        raise UserError(
            f"'{found[0]}' lies outside of {root} ({len(found)} of {len(paths)} images do). If "
            "they are meant to be read, set data.allow_outside to true."
        )


def _outside(path: str) -> bool:
    """Tell whether a path relative to a folder leads out of it."""
    return os.path.isabs(path) or os.path.normpath(path).split(os.sep)[0] == os.pardir
