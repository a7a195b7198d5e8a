"""Feed rubbish to every reader: `make test-fuzz`, 200,000 inputs; the suite runs a few hundred.

Each input is a valid file with random changes: bytes flipped, cut, doubled, put elsewhere, or
tokens that mean something to the format. Others are changed as somebody would who writes the
checksums anew (`fuzz_made`). A reader may give a result or a `UserError`; anything else, more than
some seconds, or more memory than a limit is a finding. Where bytes of an HDF5 file are changed and
its checksum is right, HDF5 itself may crash or hang: that is counted.
"""

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from mprd.artifacts import FEATURES, INDEX, SCHEMAS, Schema, read_artifact, read_json
from mprd.artifacts.files import file_digest
from mprd.artifacts.tensors import read_safetensors, read_state
from mprd.config import expand_runs, read_yaml
from mprd.data.datasets.manifest import read_manifest
from mprd.data.images import decode
from mprd.decisions.answers import read_answers
from mprd.errors import UserError
from mprd.gcn.weights import load_gcn
from mprd.models.weights import load_network
from mprd.models.weights_file import stored_architecture
from mprd.report.inspect.describe import describe
from tests.faults.fuzz_made import (
    Change,
    edited_hdf5,
    isolated,
    made_manifest,
    made_safetensors,
    made_yaml,
    resealed_hdf5,
)

ROOT = Path(__file__).parents[2]
SECONDS = 10
MEMORY = 8 * 2**30
_HDF5 = ("features", "index", "pixels", "clusters", "graph")
Reader = Callable[[Path], object]
Kinds = dict[str, tuple[Path, Reader]]

TOKENS = {
    ".yaml": [
        b"!!python/object/apply:os.system ['true']",
        b"epochs: 10000000000000000000000",
        *(
            b"&a [*a]",
            b"<<: *x",
            b"1e999",
            b"~",
            b"\t",
            b"'",
            b"{",
            b"- ",
            b": ",
            b"null",
            b"runs:",
        ),
    ],
    ".csv": [b",", b'"', b"\r", b"\n", b"\0", b"nan", b"-1", b"1e309", b"\xff\xfe", b"../../x"],
    ".json": [b"[" * 5000, b"NaN", b"1e999", b"null", b'"', b"{"],
}
ANY = [b"", b"\0" * 64, b"\xff" * 16, b"9" * 400]


def mutated(whole: bytes, suffix: str, rng: random.Random) -> bytes:
    """Return a changed copy."""
    data = bytearray(whole)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        length = min(rng.choice((1, 2, 4, 16, 300)), len(data) - at)
        kind = rng.randrange(6)
        if kind == 0 and length:
            for i in range(at, at + length):
                data[i] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        elif kind == 3 and data:
            other = rng.randrange(len(data))
            data[at:at] = data[other : other + length]
        elif kind == 4:
            data[at:at] = rng.choice(TOKENS.get(suffix, []) + ANY)
        elif length:
            data[at] ^= 1 << rng.randrange(8)
    return bytes(data)


def readers(run: Path, images: Path) -> Kinds:
    """Return a valid file and its reader, by name.

    Args:
        run: folder of a finished run.
        images: a folder with `a.jpg` and `b.png`.
    """
    manifest = images / "manifest.csv"
    manifest.write_text("path,split,identity,camera\na.jpg,train,x,1\nb.png,query,2,\n")
    answers = images / "answers.csv"
    answers.write_text("path_a,path_b,same\na,b,1\nb,c,0\n")
    rows = {"a": 0, "b": 1, "c": 2}
    return {
        "features.h5": (run / "epochs/002/features.h5", lambda p: read_artifact(p, FEATURES)),
        "index.h5": (run / "index.h5", lambda p: read_artifact(p, INDEX)),
        "model": (
            run / "epochs/002/model.safetensors",
            lambda p: read_safetensors(p, "mprd.model", "train"),
        ),
        "state": (run / "epochs/002/state.pt", read_state),
        "metrics": (
            run / "epochs/002/metrics.json",
            lambda p: read_json(p, "mprd.metrics", "train"),
        ),
        "config": (
            ROOT / "config/config.yaml",
            lambda p: expand_runs(read_yaml(p), str(p)),
        ),
        "sweep": (ROOT / "config/sweep.yaml", lambda p: expand_runs(read_yaml(p), str(p))),
        "manifest": (manifest, read_manifest),
        "answers": (answers, lambda p: read_answers(p, rows)),
        "jpeg": (images / "a.jpg", decode),
        "png": (images / "b.png", decode),
    }


# Kind -> how it is changed; the others by `mutated`. Those of HDF5 are read in other processes.
MADE: dict[str, Change] = {
    **{f"{name}, edited": edited_hdf5 for name in _HDF5},
    **{f"{name}, resealed": resealed_hdf5 for name in _HDF5},
    "model, made": made_safetensors,
    "gcn, made": made_safetensors,
    "config, made": made_yaml,
    "sweep, made": made_yaml,
    "manifest, made": made_manifest,
}


def made_readers(run: Path, images: Path) -> Kinds:
    """Return likewise the kinds that `MADE` changes."""
    plain = readers(run, images)
    paths = {name: next(run.rglob(f"{name}.h5")) for name in _HDF5}
    kinds: Kinds = {}
    for name, path in paths.items():
        for way in ("edited", "resealed"):
            kinds[f"{name}, {way}"] = path, partial(_all_of, schema=SCHEMAS[f"mprd.{name}"])
    kinds["model, made"] = plain["model"][0], _built
    gcn = next(run.rglob("gcn*.safetensors"), None)
    if gcn is not None:
        kinds["gcn, made"] = gcn, lambda p: load_gcn(p, 192)
    for name in ("config", "sweep", "manifest"):
        kinds[f"{name}, made"] = plain[name]
    return kinds


def _all_of(path: Path, schema: Schema) -> None:
    """Read an HDF5 artifact, as stages do and as `mprd inspect` does."""
    file_digest(path)
    read_artifact(path, schema)
    describe(path)


def _built(path: Path) -> None:
    stored_architecture(path)
    load_network(path)
    describe(path)


def _late(number: int, frame: FrameType | None) -> None:
    raise TimeoutError


def fuzz(kinds: Kinds, count: int, seed: int) -> Counter:
    """Read changed files in turn; return how often each kind gave a result and a sentence.

    Raises:
        AssertionError: a reader did something else; the input is kept beside the message.
    """
    signal.signal(signal.SIGALRM, _late)
    rng, outcomes = random.Random(seed), Counter()
    contents = {name: path.read_bytes() for name, (path, _) in kinds.items()}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            name = list(kinds)[number % len(kinds)]
            path, reader = kinds[name]
            # A manifest names images beside it.
            here = path.parent if name.startswith("manifest") else Path(folder)
            damaged = here / f"damaged{path.suffix}"
            change = MADE.get(name)
            whole = contents[name]
            changed = change(whole, rng) if change else mutated(whole, path.suffix, rng)
            damaged.write_bytes(changed)
            apart = change in (edited_hdf5, resealed_hdf5)
            signal.alarm(0 if apart else SECONDS)
            try:
                outcome = isolated(reader, damaged) if apart else reader(damaged) and ""
                outcomes[name, outcome or "result"] += 1
            except UserError:
                outcomes[name, "sentence"] += 1
            except BaseException as error:
                kept = Path(tempfile.mkdtemp(prefix="mprd-fuzz-")) / damaged.name
                damaged.rename(kept)
                raise AssertionError(f"{name}: {type(error).__name__}: {error} ({kept})") from error
            finally:
                signal.alarm(0)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=ROOT / "results/demo", help="a finished run")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder)
        draw_images(images)
        begin = time.perf_counter()
        kinds = readers(options.run, images) | made_readers(options.run, images)
        outcomes = fuzz(kinds, options.count, options.seed)
    for (name, outcome), count in sorted(outcomes.items()):
        print(f"{count:8,d}  {name:12s} {outcome}")
    print(f"{options.count:,} inputs in {time.perf_counter() - begin:.0f} s, no finding")


def draw_images(folder: Path) -> None:
    """Write `a.jpg` and `b.png`."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 12, 3), np.uint8))
    picture.save(folder / "a.jpg")
    picture.save(folder / "b.png")


if __name__ == "__main__":
    sys.exit(main())
