"""Float32 or bfloat16: in which numbers a network computes."""

from functools import cache
from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "float32", "bfloat16"]
_WIDE = 64  # input channels from which a convolution gains by bfloat16 in training on a CPU


def uses_bfloat16(precision: Precision, device: torch.device, network: nn.Module) -> bool:
    """Tell whether a network computes its feature maps in bfloat16.

    `auto` is a rule, not a measurement: the same machine decides alike each time. On a GPU
    bfloat16; on a CPU with instructions for it bfloat16 for inference, and for training if the
    network gains by it on any machine: with grouped convolutions it does not, with narrow ones not
    beside other work (docs/explanation/learning.md).

    Args:
        precision: the setting.
        device: where it computes.
        network: in training or eval mode.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device.type != "cpu":
        return device.type == "cuda"
    return cpu_has_bfloat16() and (not network.training or trains_in_bfloat16(network))


def trains_in_bfloat16(network: nn.Module) -> bool:
    """Tell whether all convolutions but the first are dense and wide; also if there are none."""
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    return all(c.groups == 1 and c.in_channels >= _WIDE for c in convolutions[1:])


@cache
def cpu_has_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16 by itself (AVX512-BF16 or AMX)."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)
