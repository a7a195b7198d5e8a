"""Devices, threads and random numbers: what a torch stage sets up first."""

import ctypes
import re

import torch

from mprd.config.section import DEVICE
from mprd.errors import UserError
from mprd.system import group


def has_gpu() -> bool:
    """Tell whether there is a CUDA device."""
    return torch.cuda.is_available()


def select_device(name: str) -> torch.device:
    """Return the device that a config names, and let torch use no other GPU from now on.

    Raises:
        UserError: a GPU is asked for and there is none of that number, or the name means nothing.
    """
    if not re.fullmatch(DEVICE, name):
        raise UserError(f"device is {name}. It must be auto, cpu, cuda or cuda:N.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise UserError(
            f"device is {name} but torch sees {count} CUDA devices. Set device to auto or cpu."
        )
    device = group.own_device(device)
    if device.type == "cuda" and device.index is not None:
        # Else pinned memory and compiled kernels would open the first card, too.
        torch.cuda.set_device(device)
    return device


# Parameters of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def set_up_cpu(threads: int | None) -> None:
    """Prepare a process for training and inference on the CPU.

    Args:
        threads: of torch; None: all. Results are reproducible for the same number.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let the allocator reuse large blocks instead of returning them to the system.

    Each step frees and asks for the same feature maps; getting their pages anew takes an eighth of
    a step. Only glibc has this switch; elsewhere nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 2**26)
