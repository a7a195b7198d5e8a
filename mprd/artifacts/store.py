"""Write and read HDF5 artifacts: provenance, content digest, and checks that name file and key."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mprd import __version__
from mprd.artifacts.artifact import Artifact, as_read, plain
from mprd.artifacts.checksums import SEAL_BYTES, check_seal, content_digest, require_exempt, seal
from mprd.artifacts.declaration import Array, Schema
from mprd.artifacts.disk import new_file
from mprd.artifacts.files import atomic, deliver, require_file
from mprd.artifacts.plain_hdf5 import open_plain, unreadable
from mprd.artifacts.rows import MAPPED_BYTES, read_values
from mprd.artifacts.workbench import file_identity, recall, remember, writes_behind
from mprd.errors import UserError, how_to_fix

# Attributes of every artifact, as `create_artifact` writes them.
PROVENANCE = (
    "schema",
    "schema_version",
    "mprd_version",
    "created",
    "config",
    "inputs",
    "seed",
    "digest",
)
# Attributes of schemas that are text; all others are numbers.
_WORDS = {"dataset", "root", "camera_names", "time_unit", "splits", "cameras", "relation"}
_WORDS |= {"source", "unit"}
_COUNTS = {"places", "following", "relation_seed"}  # beside those called num_...
_UNIT_TOLERANCE = 1e-2  # of the squared length; bfloat16 networks give 1e-3


def write_artifact(
    path: Path,
    schema: Schema,
    arrays: Mapping[str, np.ndarray],
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    seed: int | None = None,
    attributes: Mapping[str, Any] | None = None,
    lock: bool = True,
    created: datetime | None = None,
) -> None:
    """Write `arrays` as an artifact of `schema`, atomically, checked before it is renamed.

    Args:
        path: target file.
        schema: what the file must hold.
        arrays: data set name -> array.
        config: the settings section the stage read.
        inputs: name -> digest of each artifact it was made from.
        seed: random seed, where one was used.
        attributes: the schema's own attributes.
        lock: see `atomic`.
        created: when it was made; None: now.

    Raises:
        UserError: the target cannot be written.
        ValueError: the arrays do not fit the schema.
    """
    size = sum(np.asarray(values).nbytes for values in arrays.values())
    content = None
    if writes_behind(size):
        content = as_read(path, schema, arrays, inputs=inputs, attributes=attributes or {})

    def write(lock: bool) -> None:
        with create_artifact(
            path,
            schema,
            config=config,
            inputs=inputs,
            seed=seed,
            attributes=attributes,
            size=size,
            lock=lock,
            digest=content.digest if content else "",
            created=created,
        ) as file:
            for key, values in arrays.items():
                dtype = h5py.string_dtype() if schema.arrays[key].dtype == "str" else values.dtype
                file.create_dataset(key, data=values, dtype=dtype)

    deliver(path, write, max(size, content.size if content else 0), content=content, lock=lock)


@contextmanager
def create_artifact(
    path: Path,
    schema: Schema,
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    seed: int | None = None,
    attributes: Mapping[str, Any] | None = None,
    size: int = 0,
    lock: bool = True,
    digest: str = "",
    created: datetime | None = None,
) -> Iterator[h5py.File]:
    """Like `write_artifact`, for contents that are written piece by piece into the open file.

    `size`: bytes of the contents, about; `digest`: of the contents, where readers know it already.
    """
    with atomic(path, size, lock=lock) as temporary:
        with new_file(temporary, SEAL_BYTES) as file:
            yield file
            _describe(file, schema, created or datetime.now(UTC).replace(microsecond=0))
            if digest not in ("", file.attrs["digest"]):
                raise ValueError(f"the contents of {path} changed while they were being written")
            for name, value in (attributes or {}).items():
                file.attrs[name] = value
            file.attrs["config"] = json.dumps(config, sort_keys=True)
            file.attrs["inputs"] = json.dumps(dict(inputs), sort_keys=True)
            file.attrs["seed"] = -1 if seed is None else seed
            file.flush()
            try:
                check(file, schema, path)
            except UserError as error:
                raise ValueError(str(error)) from None
        seal(temporary, schema)


def _describe(file: h5py.File, schema: Schema, created: datetime) -> None:
    """Write what a file holds into its attributes and those of its data sets."""
    for key, array in schema.arrays.items():
        if key not in file and array.optional:
            continue
        if key not in file:
            raise ValueError(f"{schema.name} lacks the data set {key}")
        file[key].attrs["description"] = array.description
        if array.units:
            file[key].attrs["units"] = array.units
    file.attrs["schema"] = schema.name
    file.attrs["schema_version"] = schema.version
    file.attrs["mprd_version"] = __version__
    file.attrs["created"] = created.isoformat()
    file.attrs["digest"] = content_digest(file, schema)


def read_artifact(path: Path, schema: Schema, keys: tuple[str, ...] | None = None) -> Artifact:
    """Read an artifact into memory and check all that is read.

    Args:
        path: the file.
        schema: what it must be.
        keys: data sets to read, as far as they are there; default all that are not streamed.

    Raises:
        UserError: missing, not HDF5, another schema or version, or contents that break it.
    """
    again = how_to_fix(path, schema.command)
    held = recall(path)
    if held is not None and held.schema is schema:
        return held.part(keys)
    identity = file_identity(path)
    with _opened(path, schema) as (file, sizes), unreadable(path, again):
        wanted = keys or tuple(k for k, a in schema.arrays.items() if not a.streamed)
        wanted = tuple(k for k in wanted if k in file or not schema.arrays[k].optional)
        arrays = {key: read_values(file[key], schema.arrays[key], path) for key in wanted}
        for key in wanted:
            check_values(arrays[key], schema.arrays[key], sizes, f"{path}: {key}", again)
        found = Artifact(
            path,
            schema,
            arrays,
            {name: plain(file.attrs[name]) for name in schema.attributes},
            str(file.attrs["digest"]),
            json.loads(file.attrs["inputs"]),
        )
    if keys is None and found.size < MAPPED_BYTES and remember(path, identity, found, found.size):
        return found.part()
    return found


@contextmanager
def open_artifact(path: Path, schema: Schema) -> Iterator[h5py.File]:
    """Open an artifact for reading; all but the values is checked."""
    with _opened(path, schema) as (file, _):
        yield file


@contextmanager
def _opened(path: Path, schema: Schema) -> Iterator[tuple[h5py.File, dict[str, int]]]:
    """Open an artifact; return it and the sizes of its dimensions."""
    require_file(path, schema.command)
    again = how_to_fix(path, schema.command)
    check_seal(path, again)
    with open_plain(path, again) as file:
        with unreadable(path, again):
            _check_head(file, schema, path, again)
            require_exempt(file, schema, again)
            sizes = check(file, schema, path, scan=False)
        yield file, sizes


def _check_head(file: h5py.File, schema: Schema, path: Path, again: str) -> None:
    """Check schema, version, and that provenance is there."""
    found = file.attrs.get("schema")
    if found != schema.name:
        raise UserError(
            f"{path} holds {found or 'no mprd artifact'}, expected {schema.name}. "
            f"Give the file that `mprd {schema.command}` made."
        )
    version = int(file.attrs.get("schema_version", 0))
    if version != schema.version:
        raise UserError(
            f"{path} has {schema.name} version {version}, this mprd reads {schema.version}. {again}"
        )
    missing = {*PROVENANCE, *schema.attributes} - set(file.attrs)
    if missing:
        raise UserError(f"{path} lacks the attribute {sorted(missing)[0]}. {again}")
    for name in ("config", "inputs"):
        if not isinstance(json.loads(file.attrs[name]), dict):
            raise UserError(f"{path}: attribute {name} is no JSON object. {again}")
    for name in schema.attributes.keys() - _WORDS:
        if isinstance(file.attrs[name], str | bytes):
            raise UserError(f"{path}: attribute {name} is no number. {again}")
        if name.startswith("num_") or name in _COUNTS:
            int(file.attrs[name])  # no NaN
    datetime.fromisoformat(file.attrs["created"]).astimezone(UTC)


def check(file: h5py.File, schema: Schema, path: Path, scan: bool = True) -> dict[str, int]:
    """Check data sets, shapes and dtypes (with `scan` all values, too); return dimension sizes."""
    sizes: dict[str, int] = {}
    again = how_to_fix(path, schema.command)
    for key, array in schema.arrays.items():
        where = f"{path}: {key}"
        if key not in file and array.optional:
            continue
        if key not in file:
            raise UserError(f"{where} is missing. {again}")
        _check_dtype(file[key], array, where, again)
        _check_shape(file[key].shape, array, sizes, where, again)
    if scan:
        for key, array in schema.arrays.items():
            if key in file and not array.streamed:
                check_values(read_values(file[key], array), array, sizes, f"{path}: {key}", again)
        if fault := schema.fault and schema.fault(file):
            raise UserError(f"{path}: {fault}. {again}")
    return sizes


def check_values(
    values: np.ndarray, array: Array, sizes: dict[str, int], where: str, again: str
) -> None:
    """Check finiteness and ranges of one data set, else raise a UserError."""
    if array.dtype == "str" or not values.size:
        return
    if array.finite and values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UserError(f"{where} holds NaN or infinite values. {again}")
    if array.unit_rows and not _have_unit_rows(values):
        raise UserError(f"{where} has rows that are not of length 1. {again}")
    # Of NaNs only both are NaN, and no limit is crossed.
    low, high = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    if array.minimum is not None and low < array.minimum:
        raise UserError(f"{where} holds {low}, below {array.minimum}. {again}")
    maximum = sizes[array.below] - 1 if array.below else array.maximum
    if maximum is not None and high > maximum:
        raise UserError(f"{where} holds {high}, above {maximum}. {again}")


def _check_dtype(data: h5py.Dataset, array: Array, where: str, again: str) -> None:
    found = "str" if h5py.check_string_dtype(data.dtype) else data.dtype.name
    if found not in (array.dtype, *array.others):
        raise UserError(f"{where} is {found}, expected {array.dtype}. {again}")


def _check_shape(
    shape: tuple[int, ...], array: Array, sizes: dict[str, int], where: str, again: str
) -> None:
    fits = len(shape) == len(array.dims)
    for size, dim in zip(shape, array.dims, strict=False):
        if isinstance(dim, int):
            fits &= size == dim
        elif dim.endswith("+1"):
            fits &= size == sizes.setdefault(dim[:-2], size - 1) + 1
        else:
            fits &= size == sizes.setdefault(dim, size)
    if not fits:
        raise UserError(
            f"{where} has shape {shape}, expected {array.dims}"
            f"{' with ' + str(sizes) if sizes else ''}. {again}"
        )


def _have_unit_rows(values: np.ndarray) -> bool:
    squares = np.einsum("nd,nd->n", values, values)
    return bool((np.abs(squares - 1) < _UNIT_TOLERANCE).all())
