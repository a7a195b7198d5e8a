"""Grouped batch norm beside one norm a group: `python benchmarks/batchnorm.py [--device cuda]`.

The norms of EfficientNet-lite0, forward and backward, channels-last, in the precision that the
device trains it in. Literal: each group through torch's norm, then put together.
"""

import torch
from common import Row, arguments, compare, report
from torch import Tensor, nn

from mprd.models.batchnorm import group_batchnorm
from mprd.models.grouped_norm import by_kernels
from mprd.system.torch_setup import set_up_cpu

# Channels and the height that they have in an image of 256 pixels, half as wide; how many norms.
LAYERS = [
    (32, 128, 2), (96, 128, 1), (96, 64, 1), (144, 64, 3), (24, 64, 2), (144, 32, 1), (240, 32, 3),
    (40, 32, 2), (240, 16, 1), (480, 16, 6), (80, 16, 3), (672, 16, 5), (112, 16, 3), (672, 8, 1),
    (1152, 8, 7), (192, 8, 4), (1280, 8, 1),
]  # fmt: skip


class Norms:
    """Norms in a row, each with its own input and gradient."""

    def __init__(self, layers: list[tuple[int, int, int]], batch: int, group: int, device: str):
        draw = torch.Generator(device).manual_seed(0)
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.device, self.groups = device, batch // group
        self.inputs: list[tuple[Tensor, Tensor]] = []
        for channels, height, _ in layers:
            shape = batch, channels, height, height // 2
            x, gradient = (
                torch.randn(shape, generator=draw, device=device)
                .to(dtype)
                .contiguous(memory_format=torch.channels_last)
                for _ in range(2)
            )
            self.inputs.append((x.requires_grad_(), gradient))
        self.counts = [count for *_, count in layers]
        self.plain = [nn.BatchNorm2d(c).to(device).train() for c, *_ in layers]
        self.grouped = [
            group_batchnorm(nn.BatchNorm2d(c), group).to(device).train() for c, *_ in layers
        ]

    def ours(self) -> list[Tensor]:
        """Pass through the grouped norms; return outputs and gradients."""
        return self._passes(lambda i, x: self.grouped[i](x))

    def literal(self) -> list[Tensor]:
        """Pass each group through the plain norms."""
        return self._passes(
            lambda i, x: torch.cat([self.plain[i](part) for part in x.chunk(self.groups)])
        )

    def sliced(self) -> list[Tensor]:
        """Pass each group through torch's kernels into its slice of one output."""
        options = {"groups": self.groups, "momentum": 0.1, "eps": 1e-5}

        def norm(i: int, x: Tensor) -> Tensor:
            layer = self.plain[i]
            running = layer.running_mean, layer.running_var
            return by_kernels(x, layer.weight, layer.bias, running, **options)

        return self._passes(norm)

    def whole(self) -> list[Tensor]:
        """Pass the whole batch through the plain norms."""
        return self._passes(lambda i, x: self.plain[i](x))

    def _passes(self, norm) -> list[Tensor]:
        found = []
        for i, ((x, gradient), count) in enumerate(zip(self.inputs, self.counts, strict=True)):
            for _ in range(count):
                y = norm(i, x)
                y.backward(gradient)
            found += [y.detach(), x.grad]
            x.grad = None
        if self.device == "cuda":
            torch.cuda.synchronize()
        return found


def main() -> None:
    options = arguments(__doc__, device="cpu", batch=0, group=0, height=0, runs=7)
    set_up_cpu(None)
    gpu = options.device == "cuda"
    batch = options.batch or (256 if gpu else 64)
    group = options.group or batch // 4
    height = options.height or (256 if gpu else 128)
    layers = [(c, max(2, h * height // 256), count) for c, h, count in LAYERS]
    norms = Norms(layers, batch, group, options.device)
    difference = max(
        float((a - b).float().norm() / b.float().norm())
        for a, b in zip(norms.ours(), norms.literal(), strict=True)
    )
    size = f"lite0 at {height}x{height // 2}, B={batch}, groups of {group}, {options.device}"
    found = compare(norms.ours, norms.literal, options.runs)
    rows = [
        Row(
            "grouped batch norm, forward and backward",
            size,
            f"{found.ratio:.2f}x one norm a group",
            "1.00x",
            found.ratio >= 1,
            f"{found.times()}; largest relative difference {difference:.0e}",
        )
    ]
    others = {"norms of the whole batch": norms.whole}
    if gpu:  # where ours has kernels of its own
        others["torch's kernels, into slices of one output"] = norms.sliced
    for name, other in others.items():
        found = compare(norms.ours, other, options.runs)
        rows.append(
            Row(f"the same beside {name}", size, f"{1 / found.ratio:.2f}x the time", "", None,
                found.times())
        )  # fmt: skip
    report(rows, options.json)


if __name__ == "__main__":
    main()
