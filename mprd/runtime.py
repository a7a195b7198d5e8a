"""Devices, threads and random numbers: what a torch stage sets up first."""

import contextlib
from collections.abc import Iterator

import torch

from mprd.errors import UserError


def select_device(name: str) -> torch.device:
    """Return the device that a config names.

    Raises:
        UserError: a GPU is asked for and there is none of that number.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise UserError(
            f"device is {name} but torch sees {count} CUDA devices. Set device to auto or cpu."
        )
    return device


def set_threads(threads: int | None) -> None:
    """Set the CPU threads of torch; results are reproducible for the same number."""
    if threads is not None:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def inference_context(device: torch.device) -> Iterator[None]:
    """No gradients; bfloat16 autocast on CUDA."""
    with torch.inference_mode(), training_context(device):
        yield


@contextlib.contextmanager
def training_context(device: torch.device) -> Iterator[None]:
    """bfloat16 autocast on CUDA, nothing on the CPU."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        yield
