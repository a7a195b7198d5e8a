"""What a `transitions.h5` says about the ways between cameras."""

from pathlib import Path
from typing import Any

import h5py

from mprd.artifacts import INDEX, read_artifact
from mprd.data.index import camera_names, split_rows
from mprd.evidence.travel import camera_labels, stored_transitions, time_length, typical_ways
from mprd.report.inspect.lookup import run_index

_LISTED = 10  # ways


def transition_facts(file: h5py.File, path: Path) -> dict[str, Any]:
    """Return whether times are used, and the busiest ways with their typical times.

    Args:
        file: an open `transitions.h5`.
        path: of it; in the folder of a run, cameras are called by their names.
    """
    found = stored_transitions(file, file.attrs)
    if not found.informative:
        return {"times": "not used: the gain is not above twice its error"}
    names = _names(path, len(found.seeds))
    ways = [way for way in typical_ways(found) if way.first != way.then]
    many = f"{len(ways)} with enough probable pairs, the busiest first"
    facts = {"times": "used", "ways between cameras": many}
    for way in ways[:_LISTED]:
        time = time_length(way.time, str(file.attrs["unit"]))
        between = f"way {names[way.first]} -> {names[way.then]}"
        facts[between] = f"{time}, {way.pairs:,.0f} probable pairs beyond chance"
    return facts


def _names(path: Path, count: int) -> list[str]:
    """Return names of the cameras as the run's index has them, else numbers from 1."""
    found = run_index(path)
    if found is not None:
        index = read_artifact(found, INDEX)
        names = camera_labels(camera_names(index), index["camera"][split_rows(index, "train")])
        if len(names) == count:
            return names
    return [str(camera + 1) for camera in range(count)]
