"""A lock on the result of a stage: of two processes that make it, one waits."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from mprd.artifacts.locks import only_writer
from mprd.config import Config
from mprd.pipeline.layout import EpochLayout
from mprd.pipeline.registry import load_plugins
from mprd.system import group

_P = ParamSpec("_P")
_R = TypeVar("_R")


def exclusive(stage: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a stage load the plugins, and wait for any other process that makes the same `out`.

    A stage can outlive a workflow that was killed; begun again beside it, it would do the same work
    at the same time.

    Args:
        stage: a function with the keywords `config`, and `out`, a file or a folder that gets a
            model.
    """

    @wraps(stage)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        out, config = kwargs["out"], kwargs["config"]
        if isinstance(config, Config):
            load_plugins(config)
        assert isinstance(out, Path)
        if not out.suffix:
            out = EpochLayout(out).model
        # Nothing is left behind by a stage that refuses; Snakemake makes the folder before.
        writes = group.writes() and out.parent.is_dir()
        with only_writer(out) if writes else nullcontext():
            return stage(*args, **kwargs)

    return run
