"""Files of features that anyone made, and what their rows are called."""

import sys
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mprd.artifacts import FEATURES, INDEX, Artifact, atomic, read_artifact
from mprd.artifacts.plain_hdf5 import open_plain, text_attribute, unreadable
from mprd.artifacts.tensor_header import require_length, require_utf8
from mprd.config.data import names_beside
from mprd.errors import UserError, many, say, why_no_file
from mprd.pipeline.layout import RunLayout
from mprd.system.checks import unit_rows

_OWN = "Write it again with h5py, in one piece and unpacked."
_WITHOUT_PATHS = (".npy", ".safetensors")


def write_array(features: np.ndarray, out: Path) -> None:
    """Write features as `.npy`."""
    with atomic(out, lock=False) as temporary, temporary.open("wb") as file:
        np.save(file, features, allow_pickle=False)


def read_array(path: Path) -> np.ndarray:
    """Read an array of anyone: `.npy`, or `features` of a safetensors or HDF5 file.

    Raises:
        UserError: missing, or no such array; nothing in it is executed.
    """
    if not path.is_file():
        raise UserError(f"{why_no_file(path)}. Name a .npy, .safetensors or .h5 file.")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if path.suffix == ".safetensors":
            require_utf8(path)
            require_length(path)
            return load_file(path)["features"]
        with open_plain(path, _OWN, ("features",)) as file:
            return file["features"][:]
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        TypeError,
        AttributeError,
        SafetensorError,
    ) as error:  # AttributeError: numbers that numpy does not have
        raise UserError(
            f"{path} is neither a .npy array nor a safetensors or HDF5 file with a data set "
            f"`features` ({error})."
        ) from None


def image_names(path: Path, rows: int) -> list[str] | None:
    """Return the path of the image of each row of a file of features; None: they are not known.

    They are where `mprd embed` or another program wrote a data set `path` beside the features, in
    the index of the run that the features belong to, or in a text file beside the file.

    Args:
        path: of the file.
        rows: in it.

    Raises:
        UserError: there are not as many paths as rows.
    """
    names = None if path.suffix in _WITHOUT_PATHS else _stored_names(path)
    where, beside = path, names_beside(path)
    if names is None and beside.is_file():
        names, where = _lines(beside), beside
    if names is not None and len(names) != rows:
        raise UserError(
            f"{where} has {many(len(names), 'path')} for {many(rows, 'row')} of features."
        )
    return names


def matched_features(file: Path, names: Sequence[str], places: Sequence[Path]) -> np.ndarray:
    """Return the features of some images from a file of anyone.

    Its rows go by their paths, which may be absolute, where the file has any, else by order.
    Rows of other images are left out, with a note.

    Args:
        file: of features.
        names: the images, as patterns see them; relative to the folder that was named.
        places: the same images, absolute.

    Returns:
        float32 (n, D), unit rows.

    Raises:
        UserError: no such array, a row without direction, or not one row for each image.
    """
    features = unit_rows(read_array(file), str(file))
    own = image_names(file, len(features))
    if own is None:
        if len(features) != len(names):
            raise UserError(
                f"{file} has {many(len(features), 'row')} and no paths, for "
                f"{many(len(names), 'image')}. Give "
                f"one row for each image, in their order, or a path for each row, as lines of "
                f"{names_beside(file)}."
            )
        return features
    return features[_rows_of(file, own, names, places)]


def _rows_of(
    file: Path, own: Sequence[str], names: Sequence[str], places: Sequence[Path]
) -> np.ndarray:
    """Return the row of each image."""
    numbers = {str(place): number for number, place in enumerate(places)}
    numbers |= {name: number for number, name in enumerate(names)}
    rows, others = np.full(len(names), -1), list[str]()
    for row, name in enumerate(own):
        number = numbers.get(PurePath(name).as_posix())
        if number is None:
            others.append(name)
        elif rows[number] >= 0:
            raise UserError(f"{file} has two rows for '{name}'. Keep one of them.")
        else:
            rows[number] = row
    missing = np.flatnonzero(rows < 0)
    more = f"{many(len(others), 'row')} of other images, such as '{others[0]}'" if others else ""
    if len(missing):
        raise UserError(
            f"{file} has no row for {len(missing):,} of {len(names):,} images, such as "
            f"'{names[missing[0]]}'{', and ' if more else ''}{more}. Write paths like these, or "
            "absolute ones."
        )
    if more:
        say(f"note: left out of {file}: {more}", file=sys.stderr)
    return rows


def index_features(file: Path, index: Artifact) -> np.ndarray:
    """Return the features of all images of an index, in its order, as `matched_features`."""
    root = Path(str(index.attributes["root"]))
    names = [str(name) for name in index["path"]]
    return matched_features(file, names, [root / name for name in names])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no text file of paths, one a line ({error}).") from None


def _stored_names(path: Path) -> list[str] | None:
    with open_plain(path, _OWN, ("path",)) as file, unreadable(path, _OWN):
        ours = text_attribute(file, "schema") == FEATURES.name
        if not ours:
            return file["path"].asstr()[:].tolist() if "path" in file else None
    return _in_a_run(path)


def _in_a_run(path: Path) -> list[str] | None:
    features = read_artifact(path, FEATURES, ("row",))
    for folder in path.resolve().parents[:3]:  # of its last or another labelling
        file = RunLayout(folder).index
        if not file.is_file():
            continue
        index = read_artifact(file, INDEX, ("path",))
        if index.digest == features.inputs.get("index"):
            return [str(index["path"][row]) for row in features["row"]]
    return None
