"""Training images as pictures of a page."""

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
    return index_picture(run, int(run.rows[row]), note, mark)


def index_picture(run: RunData, row: int, note: str = "", mark: str = "") -> Picture:
    """Return an image of any split as a picture.

    Args:
        run: the run.
        row: index row.
        note: below it.
        mark: frame, as in `Picture`.
    """
    camera, identity = int(run.index["camera"][row]), int(run.index["identity"][row])
    title = str(run.index["path"][row])
    name = run.camera_names[camera] if camera >= 0 else ""
    if name:
        title += f", camera {name}"
    if identity >= 0:
        title += f", identity {identity}"
    return Picture(row, camera, name, title, note, mark)


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
