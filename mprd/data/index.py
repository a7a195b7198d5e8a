"""The index of a run: reading it, the rows of a split, the names of cameras."""

import json
from pathlib import Path

import numpy as np

from mprd.artifacts import INDEX, SPLITS, Artifact, read_artifact
from mprd.errors import UserError

_AGAIN = "Make it again with `mprd index`."


def read_index(path: Path) -> Artifact:
    """Read `index.h5`."""
    return read_artifact(path, INDEX)


def split_rows(index: Artifact, *splits: str) -> np.ndarray:
    """Return the index rows of the splits, int64, ascending.

    Raises:
        UserError: of the training images alone, if there are none.
    """
    wanted = [SPLITS.index(split) for split in splits]
    rows = np.flatnonzero(np.isin(index["split"], wanted))
    if splits == ("train",) and not len(rows):
        raise UserError(
            f"{index.path} lists no training images: a model can be evaluated on them (`mprd "
            "evaluate`), not trained. Give some images the split train."
        )
    return rows


def camera_names(index: Artifact) -> list[str]:
    """Return the name of each camera 0, 1, ... of an `index.h5`: as given, else its number from 1.

    Args:
        index: with the array `camera`.

    Raises:
        UserError: there are fewer names than cameras, or they are no names.
    """
    return read_camera_names(str(index.attributes["camera_names"]), index["camera"], index.path)


def read_camera_names(text: str, camera: np.ndarray, path: Path) -> list[str]:
    """Return likewise what an attribute `camera_names` says.

    Args:
        text: of the attribute.
        camera: int (n,), of the images, -1 unknown.
        path: of the index, for messages.

    Raises:
        UserError: as `camera_names`.
    """
    count = int(camera.max(initial=-1)) + 1
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    names = [name for name in given if isinstance(name, str)] if isinstance(given, list) else []
    if given != names or 0 < len(names) < count:
        raise UserError(f"{path} does not name its {count} cameras. {_AGAIN}")
    return names or [str(camera + 1) for camera in range(count)]


def trained_cameras(index: Artifact, cameras: np.ndarray) -> np.ndarray:
    """Return cameras, -1 where no training image has the camera: nothing was learnt of it.

    Args:
        index: with the arrays `split` and `camera`.
        cameras: int (n,), numbers of the index, -1 unknown.
    """
    trained = np.unique(index["camera"][split_rows(index, "train")])
    return np.where(np.isin(cameras, trained[trained >= 0]), cameras, -1).astype(np.int64)


def name_identities(index: Artifact, rows: np.ndarray) -> np.ndarray:
    """Return the identity of some rows of an `index.h5` as given, "" where unknown.

    Args:
        index: with the arrays `identity` and `identity_names`.
        rows: int (n,).
    """
    identity = index["identity"][rows]
    if 0 < len(index["identity_names"]) <= identity.max(initial=-1):
        raise UserError(f"{index.path} does not name its identities. {_AGAIN}")
    if len(index["identity_names"]):
        return np.array([*index["identity_names"], ""], dtype=object)[identity]
    return np.array([str(one) if one >= 0 else "" for one in identity], dtype=object)


def name_cameras(index: Artifact, rows: np.ndarray) -> np.ndarray:
    """Return the camera of some rows of an `index.h5` by name, "" where unknown.

    Args:
        index: with the array `camera`.
        rows: int (n,).
    """
    return np.array([*camera_names(index), ""], dtype=object)[index["camera"][rows]]


def name_tracks(index: Artifact, rows: np.ndarray) -> np.ndarray:
    """Return the track of some rows of an `index.h5` by name, "" where unknown.

    Args:
        index: with the arrays `track` and `track_names`.
        rows: int (n,).
    """
    track = index["track"][rows]
    if len(index["track_names"]) <= track.max(initial=-1):
        raise UserError(f"{index.path} does not name its tracks. {_AGAIN}")
    return np.array([*index["track_names"], ""], dtype=object)[track]


def side_codes(index: Artifact, rows: np.ndarray) -> np.ndarray:
    """Return the side of an animal that some rows of an `index.h5` show, int64 (n,), -1 unknown.

    Args:
        index: with the array `side`, if it has one.
        rows: int (n,).
    """
    if "side" not in index.arrays:
        return np.full(len(rows), -1, np.int64)
    return index["side"][rows].astype(np.int64)


def name_sides(index: Artifact, rows: np.ndarray) -> np.ndarray:
    """Return the side that some rows of an `index.h5` show by name, "" where unknown.

    Args:
        index: with the arrays `side` and `side_names`, if it has them.
        rows: int (n,).
    """
    side, names = side_codes(index, rows), list(index.arrays.get("side_names", ()))
    if len(names) <= side.max(initial=-1):
        raise UserError(f"{index.path} does not name its sides. {_AGAIN}")
    return np.array([*names, ""], dtype=object)[side]
