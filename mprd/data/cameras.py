"""Images by camera, as a person reads them."""

from collections.abc import Sequence

import numpy as np

_LISTED = 30  # cameras


def camera_lines(camera: np.ndarray, names: Sequence[str] = ()) -> list[str]:
    """Return a line with the number of images of each camera; none if no camera is known.

    Args:
        camera: int (n,), -1 unknown.
        names: of the cameras 0, 1, ...; empty: they are called by their numbers from 1.
    """
    known, counts = np.unique(camera[camera >= 0], return_counts=True)
    if not len(known):
        return []
    words = [
        f"{names[one] if names else one + 1} ({count:,})"
        for one, count in zip(known.tolist(), counts.tolist(), strict=True)
    ]
    rest = len(words) - _LISTED
    more = f" and {rest} more" if rest > 0 else ""
    unknown = int((camera < 0).sum())
    lacking = f"; of {unknown:,} images the camera is not known" if unknown else ""
    return [f"images by camera: {', '.join(words[:_LISTED])}{more}{lacking}"]
