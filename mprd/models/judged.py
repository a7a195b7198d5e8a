"""An architecture from a file of anyone, judged before a network is built from it."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mprd.models.backbones.registry import Architecture
from mprd.models.backbones.timm_source import OURS
from mprd.models.pooling import POOLINGS

_SIDES = range(1, 2049)  # as data.height
_BITS = range(8, 17)
_GROUPS = range(2**16)


def parse_architecture(values: Mapping[str, Any]) -> Architecture:
    """Return an architecture that is what mprd writes.

    Raises:
        ValueError: it is not.
    """
    try:
        found = Architecture.from_dict(values)
    except TypeError as error:
        raise ValueError(f"its architecture is not one of mprd ({error})") from None
    sound = {
        "backbone": isinstance(found.backbone, str),
        "pooling": isinstance(found.pooling, str) and found.pooling in POOLINGS,
        "bn_group_size": _is_in(found.bn_group_size, _GROUPS),
        "height": _is_in(found.height, _SIDES),
        "width": _is_in(found.width, _SIDES),
        "last_stride": _is_in(found.last_stride, range(1, 3)),
        "bits": _is_in(found.bits, _BITS),
        "mean": _are_three(found.mean, least=-math.inf),
        "std": _are_three(found.std, least=0),
        "timm": isinstance(found.timm, str) and (not found.timm or _is_timm(found.timm)),
    }
    assert sound.keys() == {field.name for field in fields(Architecture)}
    wrong = [
        f"{name} {str(getattr(found, name))[:60]!r}" for name, good in sound.items() if not good
    ]
    if wrong:
        raise ValueError(f"its architecture has no sound {wrong[0]}")
    return found


def _is_in(value: Any, numbers: range) -> bool:
    return type(value) is int and value in numbers


def _are_three(values: Any, least: float) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == 3
        and all(type(v) in (int, float) and math.isfinite(v) and v > least for v in values)
    )


def _is_timm(text: str) -> bool:
    """Tell whether JSON names a network of timm itself, with arguments that name no file."""
    try:
        known = json.loads(text)
        network, arguments, fixed = known["network"], known["arguments"], known["fixed"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    plain = isinstance(network, str) and ":" not in network and isinstance(fixed, bool)
    return plain and isinstance(arguments, dict) and OURS.isdisjoint(arguments)
