"""Several processes that share the work of one stage, and give one result.

Each process knows all inputs and draws the same random numbers; only the passes through the network
are shared out, and what they give is gathered in the order of the ranks. So all processes hold the
same numbers at any time, and one of them writes.

A group exists in the processes that `mprd.cli.launch` starts. Everywhere else a process is alone,
and all of this costs nothing; torch is loaded only where a group is.
"""

import os
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WORKER = "MPRD_WORKER"  # set for the processes of a group, whose rank is in torchrun's variables


def rank() -> int:
    """Return the number of this process in its group, from 0; 0 for a process alone."""
    return int(os.environ["RANK"]) if WORKER in os.environ else 0


def size() -> int:
    """Return how many processes share the work."""
    return int(os.environ["WORLD_SIZE"]) if WORKER in os.environ else 1


def writes() -> bool:
    """Tell whether this process writes the results: the first one of a group."""
    return rank() == 0


def join(device: str) -> None:
    """Meet the other processes of the group, if there is one; GPUs talk by NCCL, CPUs by gloo.

    Args:
        device: of the config.
    """
    if size() == 1:
        return
    import torch

    cuda = uses_gpus(device)
    if cuda:
        torch.cuda.set_device(_device())
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    # One process may do hours of other work while the rest wait for it.
    torch.distributed.init_process_group(backend, timeout=timedelta(days=30))


def uses_gpus(device: str) -> bool:
    """Tell whether a config's device is a GPU here."""
    import torch

    return device != "cpu" and torch.cuda.is_available()


def leave() -> None:
    """Leave the group after the shared work; each process is alone then."""
    if size() > 1:
        import torch

        torch.distributed.destroy_process_group()
    os.environ.pop(WORKER, None)


def wait() -> None:
    """Wait until all processes of the group are here: what one wrote, the others read then."""
    if size() > 1:
        import torch

        torch.distributed.barrier()


def _device() -> int:
    return int(os.environ["LOCAL_RANK"])


def own_device(device: "torch.device") -> "torch.device":
    """Return the device of this process: each has a GPU of its own."""
    import torch

    if size() == 1 or device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", _device())


def share(count: int, unit: int = 1) -> slice:
    """Return this process's part of `count` things, which are given out in units.

    Args:
        count: of things, in an order.
        unit: things that stay together; the last unit may hold fewer.
    """
    return slice(*_edges(count, unit)[rank() : rank() + 2])


def _edges(count: int, unit: int) -> list[int]:
    """Return where the parts of the ranks begin, and where the last one ends."""
    units = -(-count // unit)
    return [min(units * n // size() * unit, count) for n in range(size() + 1)]


def least(value: int) -> int:
    """Return the least of the values of all processes."""
    if size() == 1:
        return value
    import torch

    found = torch.tensor(value)
    torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MIN)
    return int(found)


def gather(part: "Tensor", count: int, unit: int = 1) -> "Tensor":
    """Return the parts of all processes, one behind the other.

    Args:
        part: (m, ...), this process's `share(count, unit)`.
        count: of rows of all.
        unit: as given to `share`.

    Returns:
        (count, ...), the same in every process.
    """
    if size() == 1:
        return part
    import torch

    lengths = [b - a for a, b in pairwise(_edges(count, unit))]
    # Parts may differ in length; what is sent must not.
    padded = part.new_zeros((max(lengths), *part.shape[1:]))
    padded[: len(part)] = part
    found = [torch.empty_like(padded) for _ in range(size())]
    torch.distributed.all_gather(found, padded)
    return torch.cat([rows[:length] for rows, length in zip(found, lengths, strict=True)])
