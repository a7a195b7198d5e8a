"""A machine with two GPUs that are none: what is sent to them stays on the CPU, and is noted."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Cards(TorchFunctionMode):
    """While it is on, torch does on the CPU what it is asked to do on a GPU.

    Attributes:
        asked: the devices that calls named, as words.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.pin_memory:  # wants a driver
            return args[0]
        return func(*map(self._here, args), **{key: self._here(v) for key, v in kwargs.items()})

    def _here(self, value: Any) -> Any:
        if isinstance(value, torch.device):
            self.asked.append(str(value))
            return torch.device("cpu")
        return value

    @property
    def gpus(self) -> set[str]:
        """The GPUs that something was sent to."""
        return {name for name in self.asked if name.startswith("cuda")}


def two_cards(monkeypatch: Any, free: int = 2**34) -> None:
    """Let torch say that there are two GPUs with some memory left."""
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "set_device": lambda device: None,
        "mem_get_info": lambda device: (free, 2 * free),
        "memory_reserved": lambda device: 0,
        "memory_allocated": lambda device: 0,
        "empty_cache": lambda: None,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr("mprd.system.gpu._driver_found", lambda: True)
