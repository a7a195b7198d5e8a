"""Files that somebody made: changed at random, with checksums that are right again.

HDF5 can crash on such a file (SECURITY.md), so each is read in a process of its own.
"""

import contextlib
import copy
import io
import json
import os
import random
import resource
import signal
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from safetensors.torch import load, save

from mprd.artifacts import SCHEMAS, Schema
from mprd.artifacts.checksums import SEAL_BYTES, _exempt, _head
from mprd.artifacts.files import json_digest
from mprd.errors import UserError
from tests.faults.fuzz_bytes import mutated

Change = Callable[[bytes, random.Random], bytes]
SECONDS, MEMORY = 10, 2**30  # of one file
LARGEST = 2**26
LONG = "x" * 70_000
# What stands where a value is expected.
ODD: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, 10**30, -(10**400), 1e308, float("inf"), float("nan"), "",
    "../../x", "/etc/passwd", "a\nb", "\x1b[2J", "\u202e", "nan", "1e3", "0x1", "null", LONG, [],
    {}, [[]], [1] * 1000, {"a": {"b": [1]}}, ["x", None], "[" * 5000, "{}", "[1]", "{x}", "%s", "~",
    "é",
]  # fmt: skip


def _sealed(path: Path, schema: Schema) -> bytes:
    """Return the bytes of an HDF5 file with its checksum written anew."""
    try:
        with h5py.File(path, "r") as file:
            begin, end = _exempt(file, schema)
    except (TypeError, AttributeError, KeyError, OSError):  # a data set that lies nowhere
        begin, end = SEAL_BYTES, SEAL_BYTES
    return _head(path, begin, end) + path.read_bytes()[SEAL_BYTES:]


def _on_disk(whole: bytes, change: Callable[[Path], bytes]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.h5"
        path.write_bytes(whole)
        return change(path)


def edited_hdf5(whole: bytes, rng: random.Random) -> bytes:
    """Change data sets, types, layouts, links and attributes, as another program could."""

    def change(path: Path) -> bytes:
        with h5py.File(path, "r+") as file:
            schema = SCHEMAS[file.attrs["schema"]]
            for _ in range(rng.randint(1, 3)):
                with contextlib.suppress(Exception):
                    rng.choice(_EDITS)(file, rng)  # some do not go together
        small = path.stat().st_size < LARGEST  # a data set may have been given its room at once
        return _sealed(path, schema) if small else whole

    return _on_disk(whole, change)


def resealed_hdf5(whole: bytes, rng: random.Random) -> bytes:
    """Change some bytes, most of them of the structure, and write the checksum anew."""

    def change(path: Path) -> bytes:
        with h5py.File(path, "r") as file:
            begin, end = _exempt(file, SCHEMAS[file.attrs["schema"]])
        data = bytearray(whole)
        last = len(data) if rng.random() < 0.3 else min(len(data), 6000)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(SEAL_BYTES, last)
            data[at] = rng.choice((0, 1, 255, rng.randrange(256), data[at] ^ 1 << rng.randrange(8)))
        path.write_bytes(data)
        return _head(path, begin, end) + bytes(data[SEAL_BYTES:])

    return _on_disk(whole, change)


def _values(file: h5py.File, rng: random.Random) -> None:
    data = file[rng.choice(list(file))]
    if isinstance(data, h5py.Dataset) and data.size and data.dtype.kind in "iuf":
        odd = rng.choice([0, -1, 1, 2**31 - 1, 127, float("nan"), float("inf"), -1e30])
        at = tuple(rng.randrange(n) for n in data.shape)
        data[at] = np.array(odd).astype(data.dtype)


def _rewritten(file: h5py.File, rng: random.Random) -> None:
    key = rng.choice(list(file))
    if not isinstance(file[key], h5py.Dataset) or not file[key].shape:
        return
    values = file[key][:]
    del file[key]
    options = rng.choice(
        [{}, {"chunks": True}, {"compression": "gzip"}, {"fletcher32": True}, {"shuffle": True},
         {"maxshape": (None, *values.shape[1:])}, {"fillvalue": 0}, {"scaleoffset": 2}]
    )  # fmt: skip
    dtype = rng.choice([values.dtype, "f2", "f8", "i1", "u8", "S3", h5py.string_dtype(), "c8"])
    shape = rng.choice(
        [values.shape, values.shape[:1], (*values.shape, 1), (0, *values.shape[1:]),
         (values.shape[0] + 1, *values.shape[1:]), (10**9, *values.shape[1:]), ()]
    )  # fmt: skip
    if shape == values.shape and dtype == values.dtype:
        file.create_dataset(key, data=values, dtype=values.dtype, **options)
    else:
        file.create_dataset(key, shape, dtype, **(options if shape else {}))


def _linked(file: h5py.File, rng: random.Random) -> None:
    key, other = rng.choice(list(file)), rng.choice(list(file))
    if key == other:
        return
    target = rng.choice(
        [h5py.SoftLink(f"/{other}"), h5py.SoftLink("/nowhere"), h5py.ExternalLink("/dev/zero", "x"),
         file[other], np.float32(1), h5py.Empty("f4"), np.zeros(3, [("a", "i4")]), "text"]
    )  # fmt: skip
    del file[key]
    file[key] = target


def _attribute(file: h5py.File, rng: random.Random) -> None:
    place = file if rng.random() < 0.8 else file[rng.choice(list(file))]
    names = [*place.attrs, "more"]
    name = rng.choice(names)
    kind = rng.randrange(5)
    if kind == 0 and name in place.attrs:
        del place.attrs[name]
    elif kind == 1:
        place.attrs[name] = rng.choice([np.zeros(3), np.array(["a", "b"], "S2"), h5py.Empty("f4")])
    elif kind == 2:
        place.attrs[name] = json.dumps(rng.choice(ODD[:10]))
    else:
        odd = rng.choice(
            [one for one in ODD if isinstance(one, str) and len(one) < 60_000] + [0, 1.5]
        )
        place.attrs[name] = odd


def _grouped(file: h5py.File, rng: random.Random) -> None:
    file.require_group(f"more{rng.randrange(99)}")


_EDITS = [_values, _values, _rewritten, _rewritten, _linked, _attribute, _attribute, _grouped]


def made_safetensors(whole: bytes, rng: random.Random) -> bytes:
    """Change the header of mprd or that of the tensors; checksum and digest are right."""
    from mprd.artifacts.tensors import tensors_digest

    size = int.from_bytes(whole[:8], "little")
    outer = json.loads(whole[8 : 8 + size])
    if rng.random() < 0.4:  # the table of tensors
        name = rng.choice([key for key in outer if key != "__metadata__"])
        field = rng.choice(["dtype", "shape", "data_offsets"])
        outer[name][field] = rng.choice(
            [*ODD, "F16", "BF16", "I64", "F8_E4M3", "C64", [2**62, 4], [0]]
        )
        text = json.dumps(outer).encode()
        return len(text).to_bytes(8, "little") + text + whole[8 + size :]
    header, tensors = json.loads(outer["__metadata__"]["mprd"]), load(whole)
    header.pop("checksum")
    objects = {key: json.loads(header[key]) for key in ("architecture", "config", "inputs")}
    if rng.random() < 0.2:
        tensors.pop(rng.choice(list(tensors)))
    for _ in range(rng.randint(1, 2)):
        key = rng.choice([*header, "more"])
        if key in objects and rng.random() < 0.8:
            inner = objects[key]
            inner[rng.choice([*inner, "more", "timm"])] = copy.deepcopy(rng.choice(ODD))
            header[key] = json.dumps(inner)
        elif key in header and rng.random() < 0.3:
            del header[key]
        else:
            header[key] = (
                copy.deepcopy(rng.choice(ODD)) if rng.random() < 0.3 else str(rng.choice(ODD))
            )
    header["digest"] = tensors_digest(tensors)
    header["checksum"] = json_digest(header)
    return save(tensors, {"mprd": json.dumps(header)})


def made_state(whole: bytes, rng: random.Random) -> bytes:
    """Change the parts of what `torch.save` wrote; the checksums of its archive are right."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(changed, "w") as new:
        target = rng.choice([name for name in old.namelist() if rng.random() < 0.2] + ["data.pkl"])
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(target):
                content = mutated(content, rng)
            if rng.random() < 0.95:
                packed = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
                new.writestr(name, content, packed)
    return changed.getvalue()


def made_yaml(whole: bytes, rng: random.Random) -> bytes:
    """Put odd values in the place of some values."""
    content = yaml.safe_load(whole)
    for _ in range(rng.randint(1, 3)):
        place = content
        while True:
            key = (
                rng.choice([*place, "more"])
                if isinstance(place, dict)
                else rng.randrange(len(place))
            )
            inner = place.get(key) if isinstance(place, dict) else place[key]
            if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
                break
            place = inner
        place[key] = copy.deepcopy(rng.choice(ODD))
    return yaml.dump(content, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def made_manifest(whole: bytes, rng: random.Random) -> bytes:
    """Put odd values into cells and headings, with rows and columns more or less."""
    import csv

    rows = list(csv.reader(io.StringIO(whole.decode())))
    for _ in range(rng.randint(1, 4)):
        row = rng.choice(rows)
        kind = rng.randrange(6)
        if kind == 0:
            row.append(str(copy.deepcopy(rng.choice(ODD))))
        elif kind == 1 and row:
            row.pop(rng.randrange(len(row)))
        elif kind == 2:
            rows.append([str(copy.deepcopy(rng.choice(ODD))) for _ in rows[0]])
        elif kind == 3:
            rows[0].append(rng.choice(["time", "track", "identity", "path", "", "bbox", "split"]))
        elif kind == 4:
            row.extend(["x"] * rng.choice((3, 30, 300)))
        elif row:
            row[rng.randrange(len(row))] = str(copy.deepcopy(rng.choice(ODD)))
    stream = io.StringIO()
    csv.writer(stream, delimiter=rng.choice(",,,;\t|")).writerows(rows)
    return stream.getvalue().encode(rng.choice(["utf-8", "utf-8-sig", "utf-16"]), "surrogatepass")


def isolated(read: Callable[[Path], object], path: Path) -> str:
    """Read a file in a process of its own.

    Returns:
        "result", "sentence", "crash" or "hang".

    Raises:
        AssertionError: it raised something else.
    """
    said = path.with_suffix(".said")
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
        try:
            read(path)
        except UserError:
            os._exit(1)
        except BaseException:
            said.write_text(traceback.format_exc())
            os._exit(2)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 2:
        raise AssertionError(said.read_text())
    if status < 0:
        return "hang" if -status == signal.SIGALRM else "crash"
    return ("result", "sentence")[status]
