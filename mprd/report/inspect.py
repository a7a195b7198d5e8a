"""`mprd inspect`: contents, statistics, provenance, and a full check of one artifact."""

import json
from pathlib import Path

import h5py
import numpy as np
from rich.console import Console
from rich.table import Table

from mprd.artifacts import SCHEMAS, check, content_digest, open_artifact
from mprd.errors import UserError

_SAMPLE_ROWS = 4096


def inspect_file(path: Path) -> None:
    """Print an artifact and check it against its schema and its digest.

    Raises:
        UserError: not an artifact of mprd, or it fails a check.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist.")
    if path.suffix == ".safetensors":
        _inspect_safetensors(path)
    else:
        _inspect_hdf5(path)


def _inspect_hdf5(path: Path) -> None:
    if not h5py.is_hdf5(path):
        raise UserError(f"{path} is neither an HDF5 nor a safetensors file.")
    with h5py.File(path, "r") as file:
        name = file.attrs.get("schema")
    if name not in SCHEMAS:
        raise UserError(
            f"{path} holds no artifact of mprd (schema {name!r}). Known: {', '.join(SCHEMAS)}."
        )
    schema = SCHEMAS[name]
    console = Console(width=140, soft_wrap=True)
    with open_artifact(path, schema) as file:
        console.print(f"{path}: {name} version {schema.version}. {schema.description}")
        _print_attributes(console, {key: str(file.attrs[key]) for key in file.attrs})
        table = _grid("data set", "dtype", "shape", "min", "mean", "max", "description")
        for key in file:
            dtype = "str" if h5py.check_string_dtype(file[key].dtype) else str(file[key].dtype)
            description = str(file[key].attrs.get("description", ""))
            shape = " x ".join(map(str, file[key].shape))
            table.add_row(key, dtype, shape, *_statistics(file[key]), description)
        console.print(table)
        check(file, schema, path)
        if content_digest(file, schema) != file.attrs["digest"]:
            raise UserError(
                f"{path} was changed after it was written (its digest differs). "
                f"Make it again with `mprd {schema.command}`."
            )
    console.print("Check passed: schema, shapes, ranges and digest.")


def _inspect_safetensors(path: Path) -> None:
    from mprd.artifacts.tensors import read_safetensors, tensors_digest
    from mprd.gcn.weights import SCHEMA as GCN_SCHEMA
    from mprd.models.weights import SCHEMA

    header, tensors = read_safetensors(path, (SCHEMA, GCN_SCHEMA), "init` or `mprd pretrain")
    console = Console(width=140, soft_wrap=True)
    total = sum(tensor.numel() for tensor in tensors.values())
    console.print(f"{path}: {header['schema']}, {len(tensors)} tensors, {total:,} values")
    _print_attributes(console, header)
    table = _grid("tensor", "dtype", "shape", "min", "mean", "max")
    for key, tensor in tensors.items():
        shape = " x ".join(map(str, tensor.shape)) or "scalar"
        dtype = str(tensor.dtype).removeprefix("torch.")
        table.add_row(key, dtype, shape, *_statistics(tensor.numpy()))
    console.print(table)
    if tensors_digest(tensors) != header.get("digest"):
        raise UserError(f"{path} was changed after it was written (its digest differs).")
    console.print("Check passed: architecture, values and digest.")


def _statistics(data: h5py.Dataset | np.ndarray) -> tuple[str, str, str]:
    """Return min, mean and max, of evenly spread rows where the data are large."""
    if data.size == 0 or data.dtype.kind not in "fiu":
        return ("", "", "")
    step = max(1, data.shape[0] // _SAMPLE_ROWS) if data.ndim and data.size > 10**8 else 1
    values = np.asarray(data[::step] if data.ndim else data[()], dtype=np.float64)
    if np.isnan(values).all():
        return ("nan", "nan", "nan")
    return tuple(f"{f(values):.4g}" for f in (np.nanmin, np.nanmean, np.nanmax))  # type: ignore


def _print_attributes(console: Console, attributes: dict[str, str]) -> None:
    for key in sorted(attributes):
        value = attributes[key]
        if key == "inputs":
            value = ", ".join(f"{k} {v[:12]}" for k, v in json.loads(value).items()) or "none"
        console.print(f"  {key}: {value}", highlight=False)


def _grid(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
