"""What a network is built from, and what a backbone is: images to a feature map (B, C, h, w)."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from mprd.data.pixels import IMAGENET, Statistics
from mprd.pipeline.registry import Registry


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build the network; stored with its weights.

    Attributes:
        backbone: name of the backbone.
        pooling: name of the pooling.
        bn_group_size: images that share batch-norm statistics in training; 0: the whole batch.
        height: of the images, pixels.
        width: of the images, pixels.
        last_stride: stride of the last stage, 1 or 2.
        bits: that values of images of 16 bits use.
        mean: of red, green and blue, in [0, 1], that the input is normalised by.
        std: standard deviation, likewise.
        timm: JSON of what timm builds, where a hub or a `config.json` said it; "": the name says
            it.
    """

    backbone: str
    pooling: str
    bn_group_size: int
    height: int
    width: int
    last_stride: int = 1
    bits: int = 16
    mean: tuple[float, float, float] = IMAGENET.mean
    std: tuple[float, float, float] = IMAGENET.std
    timm: str = ""

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Architecture":
        """Return what `as_dict` gave, also of a version that knew fewer fields."""
        lists = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        return cls(**{**fields, **lists})

    @property
    def statistics(self) -> Statistics:
        """What the input is normalised by."""
        return Statistics(self.mean, self.std)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)


class Backbone(NamedTuple):
    """A network and the number of channels it ends in."""

    network: nn.Module
    channels: int


class EmbeddingTrunk(nn.Module):
    """A network with layers behind the pooling: its embedding is not its pooled map.

    Attributes:
        dim: embedding size D.
    """

    dim: int

    def embed(self, pooled: Tensor) -> Tensor:
        """Map a pooled map (B, C) to an embedding (B, D)."""
        raise NotImplementedError


# (what to build, whether to load ImageNet weights) -> the backbone.
BACKBONES: Registry[Callable[[Architecture, bool], Backbone]] = Registry("model.backbone")


def build_backbone(architecture: Architecture, pretrained: bool = False) -> Backbone:
    """Build the backbone of an architecture.

    Args:
        architecture: its `backbone` is one of `BACKBONES.names()`, or fits a pattern of them.
        pretrained: load ImageNet weights; most are downloaded at their first use.

    Raises:
        UserError: unknown name, no ImageNet weights, or an option that does not fit the network.
    """
    return BACKBONES[architecture.backbone](architecture, pretrained)
