"""Feed rubbish to every reader: `make test-fuzz`, five minutes; the suite runs a few hundred.

Each input is a valid file with random changes: bytes flipped, cut, doubled, put elsewhere, or
tokens that mean something to the format. Others are changed as somebody would who writes the
checksums anew (`fuzz_made`). A reader may give a result or a `UserError`; anything else, more than
some seconds, or more memory than a limit is a finding. Where bytes of an HDF5 file are changed and
its checksum is right, HDF5 itself may crash or hang: that is counted. Requests to a local page may
be answered or refused.

Each kind of file has the same share of the time (MPRD_FUZZ_SECONDS, or --seconds).
"""

import argparse
import itertools
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
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
from tests.faults.fuzz_bytes import mutated
from tests.faults.fuzz_http import page
from tests.faults.fuzz_made import (
    Change,
    edited_hdf5,
    isolated,
    made_manifest,
    made_safetensors,
    made_state,
    made_yaml,
    resealed_hdf5,
)

ROOT = Path(__file__).parents[2]
SECONDS = 10
MEMORY = 8 * 2**30
_HDF5 = ("features", "index", "pixels", "clusters", "graph")
Reader = Callable[[Path], object]
Kinds = dict[str, tuple[Path, Reader]]


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
    "state, made": made_state,
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
    for name in ("state", "config", "sweep", "manifest"):
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


def fuzz(
    kinds: Kinds,
    seed: int,
    *,
    each: int | None = None,
    seconds: float = math.inf,
    changes: Mapping[str, Change] = MADE,
) -> Counter:
    """Read changed files; return how often each kind gave a result and a sentence.

    Args:
        kinds: to read.
        seed: of the changes, which do not depend on the other kinds.
        each: inputs of a kind.
        seconds: for all kinds, which share it evenly.
        changes: of the kinds that are not changed by `mutated`.

    Raises:
        AssertionError: a reader did something else; the input is kept beside the message.
    """
    signal.signal(signal.SIGALRM, _late)
    outcomes = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in kinds:
            rng, end = random.Random(f"{seed} {name}"), time.monotonic() + seconds / len(kinds)
            for number in itertools.count():
                if number == each or time.monotonic() > end:
                    break
                change = changes.get(name, partial(mutated, suffix=kinds[name][0].suffix))
                outcomes[name, _try(name, kinds, change, rng, Path(folder))] += 1
    return outcomes


def _try(name: str, kinds: Kinds, change: Change, rng: random.Random, folder: Path) -> str:
    """Read one changed file; return what came of it."""
    path, reader = kinds[name]
    # A manifest names images beside it.
    damaged = (path.parent if name.startswith("manifest") else folder) / f"damaged{path.suffix}"
    damaged.write_bytes(change(path.read_bytes(), rng))
    apart = change in (edited_hdf5, resealed_hdf5)
    signal.alarm(0 if apart else SECONDS)
    try:
        if apart:
            return isolated(reader, damaged)
        reader(damaged)
        return "result"
    except UserError:
        return "sentence"
    except BaseException as error:
        kept = Path(tempfile.mkdtemp(prefix="mprd-fuzz-")) / damaged.name
        damaged.rename(kept)
        raise AssertionError(f"{name}: {type(error).__name__}: {error} ({kept})") from error
    finally:
        signal.alarm(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=ROOT / "results/demo", help="a finished run")
    parser.add_argument(
        "--seconds", type=float, default=float(os.environ.get("MPRD_FUZZ_SECONDS") or 300)
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_images(folder)
        begin = time.perf_counter()
        kinds = readers(options.run, folder) | made_readers(options.run, folder)
        with page(options.run, folder) as served:
            kinds["request"] = folder / "request", served.read
            changes = MADE | {"request": served.request}
            outcomes = fuzz(kinds, options.seed, seconds=options.seconds, changes=changes)
    for (name, outcome), count in sorted(outcomes.items()):
        print(f"{count:8,d}  {name:20s} {outcome}")
    taken = time.perf_counter() - begin
    print(f"{outcomes.total():,} inputs of {len(kinds)} kinds in {taken:.0f} s, no finding")


def draw_images(folder: Path) -> None:
    """Write `a.jpg` and `b.png`."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 12, 3), np.uint8))
    picture.save(folder / "a.jpg")
    picture.save(folder / "b.png")


if __name__ == "__main__":
    sys.exit(main())
