"""Files of features that anyone made, and what their rows are called."""

from pathlib import Path

import h5py
import numpy as np

from mprd.artifacts import FEATURES, INDEX, atomic, read_artifact
from mprd.errors import UserError, why_no_file
from mprd.pipeline.layout import RunLayout


def write_array(features: np.ndarray, out: Path) -> None:
    """Write features as `.npy`."""
    with atomic(out, lock=False) as temporary, temporary.open("wb") as file:
        np.save(file, features, allow_pickle=False)


def read_array(path: Path) -> np.ndarray:
    """Read an array of anyone: `.npy`, or the data set `features` of any HDF5 file.

    Raises:
        UserError: missing, or no such array; nothing in it is executed.
    """
    if not path.is_file():
        raise UserError(f"{why_no_file(path)}. Name a .npy or .h5 file.")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        with h5py.File(path, "r") as file:
            return file["features"][:]
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise UserError(
            f"{path} is neither a .npy array nor an HDF5 file with a data set `features` ({error})."
        ) from None


def image_names(path: Path) -> list[str] | None:
    """Return the path of the image of each row of a file of features; None: they are not known.

    They are where `mprd embed` or another program wrote a data set `path` beside the features, and
    in the index of the run that the features belong to.

    Raises:
        UserError: there are not as many paths as rows.
    """
    if path.suffix == ".npy":
        return None
    with h5py.File(path, "r") as file:
        rows = file["features"].shape[0]
        if file.attrs.get("schema") == FEATURES.name:
            return _in_a_run(path)
        if "path" not in file:
            return None
        names = file["path"].asstr()[:].tolist()
    if len(names) != rows:
        raise UserError(f"{path} has {len(names):,} paths for {rows:,} rows of features.")
    return names


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
