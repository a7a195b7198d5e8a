"""Tells where a step would make the host wait for a GPU, on a machine without one."""

import traceback

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

# What asks a number or a shape back from the device; a list that a new one should join.
_WAITING = {
    "_local_scalar_dense",
    "nonzero",
    "nonzero_numpy",
    "argwhere",
    "_unique",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "unique_dim_consecutive",
    "masked_select",
    "repeat_interleave",
    "bincount",
    "equal",
    "is_nonzero",
    "linalg_inv_ex",
    "_linalg_check_errors",
    "lift_fresh",  # a tensor from numbers of the host, which is uploaded
    "_pin_memory",
}
_INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_"}


class NoWaiting(TorchDispatchMode):
    """Notes operations that wait; `found` holds one line for each, with our line of code."""

    def __init__(self, more=()):
        super().__init__()
        self.found, self.waiting = [], _WAITING | set(more)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in self.waiting:
            self.note(name)
        if name in _INDEXED and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        ):
            self.note(f"{name} by a mask")
        return func(*args, **kwargs or {})

    def note(self, what):
        ours = [f for f in traceback.extract_stack() if "/mprd/" in f.filename]
        where = f"{ours[-1].filename}:{ours[-1].lineno} {ours[-1].line}" if ours else "torch"
        self.found.append(f"{what}: {where}")


def waits(function, more=()):
    """Run a function; return what it waits for, or uploads; `more` are other operations to note."""
    with pytest.MonkeyPatch.context() as patch, NoWaiting(more) as watched:
        for module, name in ((torch, "from_numpy"), (torch, "as_tensor"), (torch.Tensor, "cpu")):
            patch.setattr(module, name, _noted(getattr(module, name), name, watched))
        function()
    return watched.found


def _noted(function, name, watched):
    def noted(value, *more, **options):
        if not (name == "as_tensor" and isinstance(value, torch.Tensor)):
            watched.note(name)
        return function(value, *more, **options)

    return noted
