"""Networks without values: built to learn the names and shapes of their tensors."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# By `torch.nn.init` and by the methods of tensors that it calls.
_DRAWN = {"normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_"}


@contextmanager
def shapes_only() -> Iterator[None]:
    """Build networks without values within the block: no memory is taken, no number is drawn.

    On its meta device torch draws normal numbers by its compiler, whose import takes seconds.
    """
    with torch.random.fork_rng(devices=()), torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Leaves out the functions that fill a tensor with random numbers."""

    def __torch_function__(
        self,
        func: Callable,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, or return its tensor as it is."""
        if getattr(func, "__name__", "") in _DRAWN:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
