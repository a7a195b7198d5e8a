"""What a network is built from."""

from dataclasses import asdict, dataclass
from typing import Any


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
    """

    backbone: str
    pooling: str
    bn_group_size: int
    height: int
    width: int
    last_stride: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)
