"""What timm, the hub or a `config.json` says of a network of timm: its arguments and its input."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mprd.data.pixels import IMAGENET, Statistics
from mprd.errors import UserError
from mprd.models.backbones.hub import hub_config
from mprd.models.backbones.registry import Architecture

TIMM = "timm/"
_HUB = "hf-hub:"
# Arguments that mprd decides on; a file of the hub has no say in them.
OURS = {"num_classes", "in_chans", "img_size", "pretrained", "checkpoint_path", "cache_dir"}
OURS |= {"pretrained_cfg", "pretrained_cfg_overlay", "features_only", "scriptable", "exportable"}
# Where the weights lie, and how they are read, is not for a file to say.
_SOURCES = {"url", "file", "state_dict", "source", "custom_load"}
_SOURCES |= {"hf_hub_id", "hf_hub_filename"}
_INPUT = {"mean", "std", "input_size"}


@dataclass(frozen=True)
class TimmSource:
    """A network of timm, before it is built.

    Attributes:
        network: its name in timm, which may have a tag.
        arguments: for timm to build it.
        statistics: what its input is normalised by.
        size: height and width of the images that it was trained with.
        fixed: it takes one size only; timm changes its position embeddings for another.
        data: `pretrained_cfg` of timm, changed by what the hub or a file says.
        said: the hub or a file says something of its input, too.
    """

    network: str
    arguments: Mapping[str, Any]
    statistics: Statistics
    size: tuple[int, int]
    fixed: bool
    data: Mapping[str, Any]
    said: bool = False

    def describe(self, architecture: Architecture) -> Architecture:
        """Return an architecture of this network, which can be built again without its source."""
        by_name = architecture.backbone == TIMM + self.network and not self.said
        built = {"network": self.network, "arguments": self.arguments, "fixed": self.fixed}
        return dataclasses.replace(
            architecture,
            mean=self.statistics.mean,
            std=self.statistics.std,
            timm="" if by_name else json.dumps(built, sort_keys=True),
        )


def hub_name(backbone: str) -> str | None:
    """Return OWNER/NAME of a `timm/hf-hub:OWNER/NAME`; None: another backbone."""
    name = backbone.removeprefix(TIMM)
    return name.removeprefix(_HUB) if name.startswith(_HUB) else None


def named_source(backbone: str) -> TimmSource | None:
    """Return what a backbone's name stands for; None: timm has no such network.

    Args:
        backbone: `timm/NAME`, or `timm/hf-hub:OWNER/NAME`.

    Raises:
        UserError: the hub cannot be reached, or has no such network of timm.
    """
    repository = hub_name(backbone)
    if repository is not None:
        found = described_source(hub_config(repository))
        if found is None:
            raise UserError(
                f"{repository} on the hub is no network of timm: its config.json names none."
            )
        return found
    import timm

    network = backbone.removeprefix(TIMM)
    if not timm.is_model(network.partition(".")[0]):
        return None
    try:
        default = timm.get_pretrained_cfg(network)
    except RuntimeError:  # no such tag: timm says so when it builds the network
        default = None
    if default is None:
        return None
    return _source(network, {}, default.to_dict(remove_source=True), said=False)


def described_source(config: Path) -> TimmSource | None:
    """Return what a `config.json` as timm writes it says; None: it names no network of timm.

    Raises:
        UserError: it cannot be understood.
    """
    import timm

    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except ValueError:  # another program's, and no JSON
        return None
    network = content.get("architecture") if isinstance(content, dict) else None
    if not isinstance(network, str) or not timm.is_model(network.partition(".")[0]):
        return None
    try:
        return _parsed(network.partition(".")[0], content)
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{config} says of {network} what timm does not understand ({error})."
        ) from None


def _parsed(network: str, content: Mapping[str, Any]) -> TimmSource:
    import timm
    from timm.models import PretrainedCfg

    known = {field.name for field in dataclasses.fields(PretrainedCfg)} - _SOURCES
    found = content.get("pretrained_cfg", content)  # older files have all in one
    data = {key: value for key, value in found.items() if key in known and value is not None}
    if "num_classes" in content:
        data["num_classes"] = content["num_classes"]
    arguments = dict(content.get("model_args") or {})
    side = arguments.get("img_size")
    if side is not None:
        data["input_size"] = [3, *((side, side) if isinstance(side, int) else side)]
    if arguments.get("dynamic_img_size"):
        data["fixed_input_size"] = False
    default = timm.get_pretrained_cfg(network)
    rest = default.to_dict(remove_source=True) if default else {}
    arguments = {key: value for key, value in arguments.items() if key not in OURS}
    return _source(network, arguments, {**rest, **data}, said=not data.keys().isdisjoint(_INPUT))


def _source(
    network: str, arguments: Mapping[str, Any], data: Mapping[str, Any], *, said: bool
) -> TimmSource:
    return TimmSource(
        network=network,
        arguments=arguments,
        statistics=_statistics(data),
        size=_size(data),
        fixed=bool(data.get("fixed_input_size")),
        data={key: value for key, value in data.items() if key not in _SOURCES},
        said=said,
    )


def _statistics(data: Mapping[str, Any]) -> Statistics:
    red, green, blue = map(float, data.get("mean", IMAGENET.mean))
    deviations = tuple(map(float, data.get("std", IMAGENET.std)))
    if len(deviations) != 3 or min(deviations) <= 0:
        raise ValueError(f"std {deviations}")
    return Statistics((red, green, blue), deviations)


def _size(data: Mapping[str, Any]) -> tuple[int, int]:
    _, height, width = map(int, data.get("input_size", (3, 224, 224)))
    return height, width
