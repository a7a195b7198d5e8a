"""What an `index.h5` says about times, tracks and sides."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mprd.data.index import read_camera_names
from mprd.data.times import range_words, time_ranges


def index_facts(file: h5py.File) -> dict[str, Any]:
    """Return how many images have a time, the range of each camera, tracks, and sides.

    Args:
        file: an open `index.h5`.
    """
    time, camera, track = file["time"][:], file["camera"][:], file["track"][:]
    known, unit = int(np.isfinite(time).sum()), str(file.attrs["time_unit"])
    facts = {
        "images with a time": f"{known:,} of {len(time):,}",
        "tracks": f"{len(file['track_names']):,}, of {int((track >= 0).sum()):,} images",
    }
    names = read_camera_names(str(file.attrs["camera_names"]), camera, Path(file.filename))
    if "side" in file:
        known_sides, side = file["side_names"].asstr()[:], file["side"][:]
        sides = [f"{name} ({(side == n).sum():,})" for n, name in enumerate(known_sides)]
        facts["sides"] = ", ".join([*sides, f"unknown ({(side < 0).sum():,})"])
    if known:
        for one in time_ranges(time, camera, names):
            facts[f"times of camera {one.name}"] = range_words(one, unit)
    return facts
