"""Images of a run as pictures of its page."""

from collections.abc import Iterator

import numpy as np

from mprd.data.index import name_identities, name_sides
from mprd.data.times import time_words
from mprd.report.page.blocks import Picture
from mprd.report.page.run_data import RunData


def train_picture(run: RunData, row: int, note: str = "", mark: str = "") -> Picture:
    """Return a training image as a picture.

    Args:
        run: the run.
        row: training row.
        note: below it; the camera is added where it is known.
        mark: frame, as in `Picture`.
    """
    own, near = run.labels[row], run.nearest.cluster[row]
    number = f"{run.number(own)}, relation {run.clusters['membership'][row]:.2f}"
    facts = [("cluster", number if own >= 0 else "none: an outlier")]
    if near >= 0:
        other = "nearest other cluster" if own >= 0 else "nearest cluster"
        facts.append((other, f"{run.number(near)}, relation {run.nearest.relation[row]:.2f}"))
    return _picture(run, int(run.rows[row]), note, mark, facts)


def index_picture(run: RunData, row: int, note: str = "", mark: str = "") -> Picture:
    """Return an image of any split as a picture.

    Args:
        run: the run.
        row: index row.
        note: below it.
        mark: frame, as in `Picture`.
    """
    return _picture(run, row, note, mark, [])


def _picture(run: RunData, row: int, note: str, mark: str, more: list[tuple[str, str]]) -> Picture:
    path, facts = str(run.index["path"][row]), list(_facts(run, row))
    camera = int(run.index["camera"][row])
    return Picture(
        row=row,
        camera=camera,
        camera_name=run.camera_names[camera] if camera >= 0 else "",
        title=", ".join(
            [str(run.index["path"][row]), *(f"{name} {value}" for name, value in facts)]
        ),
        note=note,
        mark=mark,
        path=path,
        facts=(*facts, *more),
    )


def _facts(run: RunData, row: int) -> Iterator[tuple[str, str]]:
    """Yield camera, time, side and identity of an image where they are known."""
    index = run.index
    if (camera := int(index["camera"][row])) >= 0:
        yield "camera", run.camera_names[camera]
    if (time := float(index["time"][row])) == time:
        yield "time", time_words(time, str(index.attributes["time_unit"]))
    if side := name_sides(index, np.array([row]))[0]:
        yield "side", str(side)
    if index["identity"][row] >= 0:
        yield "identity", str(name_identities(index, np.array([row]))[0])


def truth_mark(run: RunData, i: int, j: int, *, claimed: bool) -> str:
    """Return `right` or `wrong` for a claim on two training rows; nothing if unknown.

    Args:
        run: the run.
        i: training row.
        j: training row.
        claimed: the claim is that both show one identity.
    """
    one, other = int(run.identity[i]), int(run.identity[j])
    if one < 0 or other < 0:
        return ""
    return "right" if (one == other) == claimed else "wrong"
