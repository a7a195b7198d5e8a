"""The card of a model: what it was made from, how it is used, and what it is not for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from mprd.data.pixels import PIXEL_MEAN, PIXEL_STD
from mprd.models.backbones.registry import Architecture


def model_card(
    architecture: Architecture, data: Mapping[str, Any], metrics: Mapping[str, float]
) -> str:
    """Return the card as Markdown.

    Args:
        architecture: of the network.
        data: what the images were, name -> value.
        metrics: of the clusters that it finds, name -> value; unknown ones (NaN) are left out.
    """
    environment = Environment(
        loader=PackageLoader("mprd.models"), trim_blocks=True, undefined=StrictUndefined
    )
    return environment.get_template("card.md.j2").render(
        network=architecture,
        mean=PIXEL_MEAN,
        std=PIXEL_STD,
        data=data,
        metrics={name: value for name, value in metrics.items() if not np.isnan(value)},
    )
