"""What is said of images with 16 bits whose range is nearly unused."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from mprd.data.images import FULL_BITS, DeepRange
from mprd.errors import many

_UNUSED, _LEVELS = 2, 32  # bits that a well-filled range may leave; levels that it shows


def range_notes(
    ranges: Sequence[DeepRange | None],
    camera: np.ndarray,
    *,
    bits: int,
    camera_names: Sequence[str] = (),
) -> Iterator[str]:
    """Yield notes if images of 16 bits use few values, or others than the config says.

    Args:
        ranges: of each image; None: it does not have 16 bits.
        camera: int (n,), -1 unknown.
        bits: `data.bits`.
        camera_names: of the cameras 0, 1, ...; empty: they are called by their numbers from 1.
    """
    deep = [one for one in ranges if one]
    most = max((one.bits for one in deep), default=0)
    levels = _levels(deep, bits)
    if most > bits:
        yield (
            f"Warning: values need up to {most} bits, data.bits is {bits}: what is brighter "
            f"becomes white. {_brighter(most)}"
        )
    elif deep and most < bits - _UNUSED:
        yield (
            f"Warning: {many(len(deep), 'image')} of 16 bits with {most} in use at most, so nearly "
            f"black: set data.bits to {max(most, 8)}. Images of 16 bits a colour must be converted "
            "to 8: only their upper 8 bits are read."
        )
    elif levels < _LEVELS:
        yield (
            f"Warning: the values of images of 16 bits lie close together: of 256 levels half of "
            f"them ({many(len(deep), 'image')}) show {levels} at most. Set data.bits if they use "
            f"fewer than {bits}; else stretch their values before."
        )
    else:
        yield from _of_cameras(ranges, camera, bits, camera_names)
    if any(one.low < 0 for one in deep):
        yield "Warning: some images hold values below 0, which become black."


def _of_cameras(
    ranges: Sequence[DeepRange | None], camera: np.ndarray, bits: int, names: Sequence[str]
) -> Iterator[str]:
    """Yield a note if the images of some cameras use few values, and those of others do not."""
    deep: dict[int, list[DeepRange]] = defaultdict(list)
    for number, one in zip(camera.tolist(), ranges, strict=True):
        if one:
            deep[number].append(one)
    few = {n: levels for n, mine in deep.items() if (levels := _levels(mine, bits)) < _LEVELS}
    if few and len(few) < len(deep):
        first = min(few)
        called = "unknown" if first < 0 else names[first] if names else str(first + 1)
        yield (
            f"Warning: 16-bit images of {many(len(few), 'camera')} show few of 256 levels (camera "
            f"{called}: {few[first]} at most), those of other cameras more. Stretch their values "
            "before: data.bits is one for all."
        )


def _levels(deep: Sequence[DeepRange], bits: int) -> int:
    """Return how many of 256 levels half of the images show at most."""
    spans = [one.high - one.low for one in deep if one.high > one.low]
    return int(np.median(spans)) * 256 >> bits if spans else 256


def _brighter(bits: int) -> str:
    """Return what to do about images whose values need so many bits, as a sentence."""
    return f"Set data.bits to {bits}." if bits <= FULL_BITS else "Write them with 16 bits or 8."
