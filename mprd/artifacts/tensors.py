"""Safetensors artifacts: weights, with architecture and provenance in the header."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mprd import __version__
from mprd.artifacts.files import atomic, deliver, json_digest, require_file
from mprd.artifacts.tensor_header import parse_mprd_header, require_tensors, require_utf8
from mprd.artifacts.torch_files import is_image, load_torch, require_unpacked, tensors_in
from mprd.artifacts.workbench import recall, writes_behind
from mprd.errors import UserError, how_to_fix

SCHEMA_VERSION = 1
_STATE_SCHEMA = "mprd.state"
# Schema -> what it is, and the files of a run that are of it.
_NETWORKS = {
    "mprd.model": ("a CNN", "model.safetensors of init/, an epoch or final/"),
    "mprd.gcn": ("a relation GCN", "gcn.safetensors of an epoch, or the pre-trained one in gcn/"),
}


def save_tensors(
    path: Path,
    schema: str,
    state: Mapping[str, Tensor],
    *,
    architecture: Mapping[str, Any],
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    seed: int | None,
    card: str = "",
) -> None:
    """Write the weights of any network of ours; see `save_network`.

    Args:
        path: file to write.
        schema: what it is.
        state: the network's state dict.
        architecture: all that is needed to build the network.
        config: settings the stage read.
        inputs: role -> digest of each file it was made from.
        seed: random seed, where one was used.
        card: for people, Markdown.

    Raises:
        UserError: a value is not finite, or the file cannot be written.
    """
    # Copies: the network may be trained on while the file is being written.
    tensors = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in state.items()}
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{path} is not written: its {key} holds NaN or infinite values.")
    header = {
        "schema": schema,
        "schema_version": str(SCHEMA_VERSION),
        "mprd_version": __version__,
        "architecture": json.dumps(architecture, sort_keys=True),
        "config": json.dumps(config, sort_keys=True),
        "inputs": json.dumps(dict(inputs), sort_keys=True),
        "seed": str(-1 if seed is None else seed),
        "digest": tensors_digest(tensors),
    }
    if card:
        header["card"] = card
    # One key: safetensors writes several in an order that changes from run to run.
    metadata = {"mprd": json.dumps(header | {"checksum": json_digest(header)}, sort_keys=True)}
    size = sum(tensor.nbytes for tensor in tensors.values())

    def write(lock: bool) -> None:
        with atomic(path, size, lock=lock) as temporary:
            # `save_file` writes into a file of its own, of mode 0600, which a kill leaves there.
            temporary.write_bytes(save(tensors, metadata))

    deliver(path, write, size, content=(header, tensors))


def read_safetensors(
    path: Path, schema: str | tuple[str, ...], command: str
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read header and tensors of a safetensors artifact, checked.

    Args:
        path: the file.
        schema: what it must be; several: one of them.
        command: the `mprd` command that makes it, for messages.
    """
    schemas = (schema,) if isinstance(schema, str) else schema
    again = how_to_fix(path, command)
    written = recall(path)
    header, tensors = written or _read_file(path, schemas, command)
    if header.get("schema") not in schemas:
        kind, _ = _NETWORKS.get(header.get("schema", ""), ("no network of mprd", ""))
        raise _wrong_network(path, kind, schemas)
    if header.get("schema_version") != str(SCHEMA_VERSION):
        raise UserError(
            f"{path} has {header['schema']} version {header.get('schema_version')}, this mprd "
            f"reads {SCHEMA_VERSION}. {again}"
        )
    if written is None:
        checksum = header.pop("checksum", "")
        if checksum != json_digest(header) or header.get("digest") != tensors_digest(tensors):
            raise UserError(f"{path} was changed after it was written. {again}")
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{path}: {key} holds NaN or infinite values. {again}")
    if written is None:
        return header, tensors
    return dict(header), {key: tensor.clone() for key, tensor in tensors.items()}


def _read_file(
    path: Path, schemas: tuple[str, ...], command: str
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return header and tensors of a file, not yet checked."""
    require_file(path, command)
    require_utf8(path)
    try:
        require_tensors(path)
        with safe_open(path, framework="pt") as file:
            header = parse_mprd_header(file.metadata())
            return header, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        if kind := _other_kind(path):
            raise _wrong_network(path, kind, schemas) from None
        raise UserError(
            f"{path} is not a readable safetensors file ({error}). {how_to_fix(path, command)}"
        ) from None


def _other_kind(path: Path) -> str:
    """Return what a file holds that is no safetensors file; "": a damaged one, by its name."""
    import h5py

    if h5py.is_hdf5(path):
        return "arrays (HDF5)"
    if zipfile.is_zipfile(path):
        return "what torch.save wrote"
    if is_image(path):
        return "an image"
    return "" if path.suffix == ".safetensors" else "no network"


def _wrong_network(path: Path, kind: str, schemas: tuple[str, ...]) -> UserError:
    """Return what a user is told who gives a file of another kind: it is not to be made again."""
    wanted = [_NETWORKS[schema] for schema in schemas]
    names, files = (" or ".join(words) for words in zip(*wanted, strict=True))
    return UserError(f"{path} holds {kind}, where {names} is needed. Give {files}.")


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes and values."""
    sha = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key]
        sha.update(f"{key}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def require_shapes(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Check that the tensors of a file are those of a network.

    Args:
        state: the network's state dict; its values do not count.
        tensors: of the file.
        path: of the file, for messages.

    Raises:
        UserError: a name is missing or unknown, or a shape is another.
    """
    wanted = {name: tuple(value.shape) for name, value in state.items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if wanted != found:
        name = min(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
        raise UserError(
            f"{path} does not fit its architecture: {name} is {found.get(name, 'missing')}, "
            f"expected {wanted.get(name, 'no such tensor')}."
        )


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write what training goes on from: `optimizer`, `rng` and `epoch`."""
    content = {"schema": _STATE_SCHEMA, **state}
    size = sum(tensor.nbytes for tensor in tensors_in(content))
    if writes_behind(size):
        content = deepcopy(content)  # the next epoch changes the tensors of this one

    def write(lock: bool) -> None:
        with atomic(path, lock=lock) as temporary, temporary.open("wb") as stream:
            torch.save(content, stream)

    deliver(path, write, size, content=content)


def read_state(path: Path) -> dict[str, Any]:
    """Read a `state.pt`; nothing in it is executed.

    Raises:
        UserError: missing, or no training state.
    """
    if (written := recall(path)) is not None:
        return deepcopy(written)
    require_file(path, "train")
    again = how_to_fix(path, "train")
    try:
        require_unpacked(path)
        with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums in it
            damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"{path} was changed after it was written. {again}")
        state = load_torch(path)
        known = state["schema"] == _STATE_SCHEMA and isinstance(state["epoch"], int)
    except UserError:
        raise
    except Exception:  # torch raises a dozen kinds here, all of them "not a state file"
        known = False
    if not known:
        raise UserError(f"{path} is not a readable training state. {again}")
    return state
