"""OSNet: features of all scales (Zhou et al., ICCV 2019), with instance norm (T-PAMI 2021).

A block looks at four scales: stream t is a chain of t light 3x3 convolutions, so that it sees
2t + 1 pixels. One small gate, shared by the streams, weighs their channels image by image. Modules
are named as in the published weight files.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture, Backbone, EmbeddingTrunk

# Instance norm of a block: none, after the shortcut is added (IBN), or before (AIN).
Norm = Literal["batch", "outside", "inside"]
_LENGTHS = (1, 2, 3, 4)  # of the streams
_REDUCTION = 16  # of the gate's channels
_EMBEDDING = 512
_STEM, _STAGES = 64, (256, 384, 512)  # channels at width 1


class _Design(NamedTuple):
    """A published network.

    Attributes:
        width: factor of all channels.
        blocks: the norms of the two blocks of each stage.
        instance_stem: the stem has instance norm, not batch norm.
        listed: streams stand in one list, transitions beside the stages, as the AIN files name
            them.
    """

    width: float
    blocks: tuple[tuple[Norm, Norm], ...] = (("batch", "batch"),) * 3
    instance_stem: bool = False
    listed: bool = False


DESIGNS = {
    "osnet_x0_25": _Design(0.25),
    "osnet_x0_5": _Design(0.5),
    "osnet_x0_75": _Design(0.75),
    "osnet_x1_0": _Design(1.0),
    "osnet_ibn_x1_0": _Design(
        1.0,
        (("outside", "outside"), ("batch", "batch"), ("batch", "batch")),
        instance_stem=True,
    ),
    # Found by the search of the second paper.
    "osnet_ain_x1_0": _Design(
        1.0,
        (("inside", "inside"), ("batch", "inside"), ("inside", "batch")),
        instance_stem=True,
        listed=True,
    ),
}


class OsNet(EmbeddingTrunk):
    """The trunk, and the layer behind the pooling that gives its 512 features."""

    def __init__(self, design: _Design) -> None:
        super().__init__()
        stem, *stages = (round(channels * design.width) for channels in (_STEM, *_STAGES))
        norm = _instance_norm if design.instance_stem else nn.BatchNorm2d
        self.conv1 = _convolution(3, stem, 7, stride=2, norm=norm)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = stem
        for number, (outputs, norms) in enumerate(zip(stages, design.blocks, strict=True), 2):
            first = _Block(inputs, outputs, norms[0], listed=design.listed)
            stage = nn.Sequential(first, _Block(outputs, outputs, norms[1], listed=design.listed))
            self.add_module(f"conv{number}", stage)
            if outputs != stages[-1]:
                half = nn.Sequential(_convolution(outputs, outputs), nn.AvgPool2d(2))
                if design.listed:
                    self.add_module(f"pool{number}", half)
                else:
                    stage.append(half)
            inputs = outputs
        self.conv5 = _convolution(inputs, inputs)
        self.channels = inputs
        self.fc = nn.Sequential(
            nn.Linear(inputs, _EMBEDDING), nn.BatchNorm1d(_EMBEDDING), nn.ReLU(inplace=True)
        )
        self.dim = _EMBEDDING
        for child in self.modules():
            if isinstance(child, nn.Conv2d):
                nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, C, H/16, W/16)."""
        for name, part in self.named_children():
            if name != "fc":
                x = part(x)
        return x

    def embed(self, pooled: Tensor) -> Tensor:
        """Map pooled features (B, C) to (B, 512)."""
        return self.fc(pooled)


class _Block(nn.Module):
    """The omni-scale residual block (ICCV 2019, figure 4)."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, *, listed: bool) -> None:
        super().__init__()
        self.norm, self.listed = norm, listed
        width = outputs // 4
        self.conv1 = _convolution(inputs, width)
        chains = [nn.Sequential(*map(_Light, [width] * length)) for length in _LENGTHS]
        if listed:
            self.conv2 = nn.ModuleList(nn.Sequential(OrderedDict(layers=c)) for c in chains)
        else:
            self.conv2a, self.conv2b, self.conv2c, self.conv2d = chains[0][0], *chains[1:]
        self.gate = _gate(width)
        affine = None if norm == "inside" else nn.BatchNorm2d
        self.conv3 = _convolution(width, outputs, norm=affine, relu=False)
        same = inputs == outputs
        self.downsample = nn.Identity() if same else _convolution(inputs, outputs, relu=False)
        if norm != "batch":
            self.IN = _instance_norm(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h, w)."""
        narrow = self.conv1(x)
        streams = (stream(narrow) for stream in self._streams())
        y = self.conv3(reduce(torch.add, (one * self.gate(one) for one in streams)))
        if self.norm == "inside":
            y = self.IN(y)
        y = y + self.downsample(x)
        if self.norm == "outside":
            y = self.IN(y)
        return self.relu(y)

    def _streams(self) -> Iterable[nn.Module]:
        if self.listed:
            return self.conv2
        return self.conv2a, self.conv2b, self.conv2c, self.conv2d


class _Light(nn.Sequential):
    """A 3x3 convolution in two parts: over channels, then over pixels (ICCV 2019, figure 3)."""

    def __init__(self, width: int) -> None:
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(width, width, 1, bias=False),
                conv2=nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
                bn=nn.BatchNorm2d(width),
                relu=nn.ReLU(inplace=True),
            )
        )


def _gate(width: int) -> nn.Sequential:
    """Return the unified aggregation gate: a map to the weight of each of its channels."""
    hidden = width // _REDUCTION
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1),
            fc1=nn.Conv2d(width, hidden, 1),
            relu=nn.ReLU(inplace=True),
            fc2=nn.Conv2d(hidden, width, 1),
            sigmoid=nn.Sigmoid(),
        )
    )


def _convolution(
    inputs: int,
    outputs: int,
    size: int = 1,
    stride: int = 1,
    *,
    norm: Callable[[int], nn.Module] | None = nn.BatchNorm2d,
    relu: bool = True,
) -> nn.Sequential:
    """Return a convolution with what follows it."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    parts = OrderedDict[str, nn.Module](conv=convolution)
    if norm is not None:
        parts["bn"] = norm(outputs)
    if relu:
        parts["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)


def _instance_norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True)


def osnet(architecture: Architecture, pretrained: bool) -> Backbone:
    """Build an OSNet; its weights are a file of the user."""
    name = architecture.backbone
    if pretrained:
        raise UserError(
            f"mprd has no ImageNet weights of {name}. Set init.method to checkpoint and "
            "init.checkpoint to a file (docs/howto/weights.md says where to get one)."
        )
    if architecture.last_stride != 1:
        raise UserError(f"{name} has no strided last stage. Set model.last_stride to 1.")
    network = OsNet(DESIGNS[name])
    return Backbone(network, network.channels)
