"""What a file of a run holds, as data: for `mprd inspect`, printed or as JSON."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from mprd.artifacts import (
    CLUSTERS,
    INDEX,
    SCHEMAS,
    TRANSITIONS,
    check,
    content_digest,
    open_artifact,
)
from mprd.artifacts.csv_rows import for_pandas, require_narrow
from mprd.artifacts.disk import open_hdf5
from mprd.artifacts.plain_hdf5 import text_attribute, unreadable
from mprd.artifacts.store import PROVENANCE
from mprd.errors import UserError, how_to_fix, many, why_no_file
from mprd.report.inspect.index_facts import index_facts
from mprd.report.inspect.transition_facts import transition_facts
from mprd.report.inspect.tree_facts import tree_facts

_SAMPLE_ROWS = 4096
_READS = "HDF5, safetensors, JSON and CSV files, and state.pt"
_CONFIG = "a config: open it in an editor; `mprd config check` checks it"
# Other files of a run, or for one -> what they are, and what shows them.
_SHOWN_BY = {
    ".yaml": _CONFIG,
    ".yml": _CONFIG,
    ".html": "a page: open it in a browser; `mprd report RUN` draws it again",
    ".log": "a log: open it in an editor; `mprd status RUN` tells how far the run is",
    ".tsv": "a table of time and memory: open it in an editor",
    ".npy": "an array: `mprd cluster-features` clusters the rows of one",
    ".onnx": "a network for other programs: look at the model.safetensors that it was made from",
}


@dataclass(frozen=True)
class Description:
    """One file.

    Attributes:
        path: of the file.
        kind: what it is: a schema, or a word.
        text: what that means, a sentence.
        facts: name -> value.
        columns: header of `rows`.
        rows: the arrays, tensors or columns in it.
        verdict: what was checked.
    """

    path: Path
    kind: str
    text: str
    facts: dict[str, Any]
    columns: tuple[str, ...] = ()
    rows: list[dict[str, Any]] = field(default_factory=list)
    verdict: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return all of it, JSON-ready."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "facts": self.facts,
            "contents": self.rows,
            "check": self.verdict,
        }


def describe(path: Path, *, tensors: bool = False) -> Description:
    """Describe a file, and check it as far as can be.

    Args:
        path: an artifact of a run: HDF5, safetensors, JSON, CSV or `state.pt`.
        tensors: list each tensor of a network, not only its parts.

    Raises:
        UserError: missing, not of mprd, or it fails a check.
    """
    if not path.is_file():
        raise UserError(f"{why_no_file(path)}.")
    if path.suffix in _SHOWN_BY:
        raise UserError(f"{path} is {_SHOWN_BY[path.suffix]}. `mprd inspect` reads {_READS}.")
    if path.suffix == ".safetensors":
        return _safetensors(path, each=tensors)
    kinds: dict[str, Callable[[Path], Description]] = {".json": _json, ".csv": _csv, ".pt": _state}
    return kinds.get(path.suffix, _hdf5)(path)


def _hdf5(path: Path) -> Description:
    if not h5py.is_hdf5(path):
        raise UserError(f"{path} is no file that a run leaves. `mprd inspect` reads {_READS}.")
    with unreadable(path, "Get it again."), open_hdf5(path) as file:
        name = text_attribute(file, "schema")
    if name not in SCHEMAS:
        raise UserError(
            f"{path} holds no artifact of mprd (schema {name!r}). Known: {', '.join(SCHEMAS)}."
        )
    schema = SCHEMAS[name]
    again = how_to_fix(path, schema.command)
    with open_artifact(path, schema) as file, unreadable(path, again):
        check(file, schema, path)
        if content_digest(file, schema) != file.attrs["digest"]:
            raise UserError(
                f"{path} was changed after it was written (its digest differs). {again}"
            )
        facts = _parsed({key: _plain(file.attrs[key]) for key in (*PROVENANCE, *schema.attributes)})
        rows = [_data_set(file[key]) for key in schema.arrays if key in file]
        more = index_facts(file) if schema is INDEX else {}
        if schema is TRANSITIONS:
            more = transition_facts(file, path)
        if schema is CLUSTERS:
            more = tree_facts(file)
    columns = ("name", "dtype", "shape", "min", "mean", "max", "description")
    verdict = "Check passed: schema, shapes, ranges and digest."
    facts |= more
    return Description(path, name, schema.description, facts, columns, rows, verdict)


def _data_set(data: h5py.Dataset) -> dict[str, Any]:
    dtype = "str" if h5py.check_string_dtype(data.dtype) else str(data.dtype)
    description = str(data.attrs.get("description", ""))
    head = {"name": data.name.lstrip("/"), "dtype": dtype, "shape": list(data.shape)}
    return head | _statistics(data) | {"description": description}


def _safetensors(path: Path, *, each: bool) -> Description:
    from mprd.artifacts.tensors import read_safetensors, tensors_digest
    from mprd.gcn.weights import SCHEMA as GCN_SCHEMA
    from mprd.models.weights import SCHEMA

    header, tensors = read_safetensors(path, (SCHEMA, GCN_SCHEMA), "init` or `mprd pretrain")
    if tensors_digest(tensors) != header.get("digest"):
        raise UserError(f"{path} was changed after it was written (its digest differs).")
    arrays = {key: tensor.numpy() for key, tensor in tensors.items()}
    facts = _parsed(dict(header)) | {"values": int(sum(a.size for a in arrays.values()))}
    verdict = _network_verdict(path, header)
    if each:
        columns: tuple[str, ...] = ("name", "dtype", "shape", "min", "mean", "max")
        rows = [
            {"name": key, "dtype": str(a.dtype), "shape": list(a.shape)} | _statistics(a)
            for key, a in arrays.items()
        ]
    else:
        columns, rows = ("name", "tensors", "values"), _parts(arrays)
    return Description(
        path, header["schema"], "Weights of a network.", facts, columns, rows, verdict
    )


def _network_verdict(path: Path, header: Mapping[str, str]) -> str:
    """Return what was checked of a sound file, and whether its network can be built here."""
    from mprd.models.backbones.registry import BACKBONES
    from mprd.models.weights import SCHEMA, header_architecture

    if header["schema"] == SCHEMA:
        try:
            BACKBONES[header_architecture(header, path).backbone]
        except UserError as error:
            return (
                "Check passed: values and digest. But the network cannot be built here. "
                f"{error} If a plugin brings this backbone, a config that names the plugin "
                "(`plugins`) can use the file."
            )
    return "Check passed: architecture, values and digest."


def _parts(arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return the parts of a network, two levels deep, with what they hold."""
    parts: dict[str, dict[str, Any]] = {}
    for key, array in arrays.items():
        name = ".".join(key.split(".")[:-1][:2]) or key
        part = parts.setdefault(name, {"name": name, "tensors": 0, "values": 0})
        part["tensors"] += 1
        part["values"] += int(array.size)
    return list(parts.values())


def _json(path: Path) -> Description:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(content, dict) or not str(content.get("schema", "")).startswith("mprd."):
        raise UserError(f"{path} holds no report of mprd.")
    return Description(path, content["schema"], "Metrics of a stage.", _shortened(content))


def _csv(path: Path) -> Description:
    require_narrow(path)
    try:
        table = pd.read_csv(for_pandas(path))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a CSV table: {error}.") from None
    rows = [_column(str(name), column) for name, column in table.items()]
    columns = ("name", "dtype", "filled", "distinct", "min", "mean", "max")
    return Description(path, "table", f"{many(len(table), 'row')}.", {}, columns, rows)


def _column(name: str, column: pd.Series) -> dict[str, Any]:
    values = column.to_numpy()
    head = {"name": name, "dtype": str(column.dtype), "filled": int(column.notna().sum())}
    return head | {"distinct": int(column.nunique())} | _statistics(values)


def _state(path: Path) -> Description:
    from mprd.artifacts.tensors import read_state

    state = read_state(path)
    groups = state["optimizer"]["param_groups"]
    facts = {"epoch": state["epoch"], "learning rate": groups[0]["lr"], "groups": len(groups)}
    facts["tensors with moments"] = len(state["optimizer"]["state"])
    if "weights" in state:  # the model is a mean
        facts["tensors that the epoch left"] = len(state["weights"])
    return Description(path, "mprd.state", "Optimiser and random state after an epoch.", facts)


def _statistics(data: h5py.Dataset | np.ndarray) -> dict[str, float | None]:
    """Return min, mean and max, of evenly spread rows where the data are large."""
    none: dict[str, float | None] = dict.fromkeys(("min", "mean", "max"))
    if data.size == 0 or data.dtype.kind not in "fiu":
        return none
    step = max(1, data.shape[0] // _SAMPLE_ROWS) if data.ndim and data.size > 10**8 else 1
    values = np.asarray(data[::step] if data.ndim else data[()], dtype=np.float64)
    if np.isnan(values).all():
        return none
    return {
        "min": float(np.nanmin(values)),
        "mean": float(np.nanmean(values)),
        "max": float(np.nanmax(values)),
    }


def _parsed(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts with those that are JSON text as what they say."""
    return {
        key: json.loads(value)
        if key in ("config", "inputs", "architecture", "camera_names")
        else value
        for key, value in sorted(facts.items())
    }


def _plain(value: Any) -> Any:
    """Return an HDF5 attribute as a Python value; NaN as None."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value


def _shortened(content: Any) -> Any:
    """Return a report with long lists cut."""
    if isinstance(content, dict):
        return {key: _shortened(value) for key, value in content.items()}
    if isinstance(content, list) and len(content) > 6:
        return [*content[:3], f"... {len(content) - 6} more ...", *content[-3:]]
    return content
