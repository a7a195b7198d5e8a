"""Images from a file that does not fit into memory: `python benchmarks/reading.py [--device cuda]`.

An epoch of training and a pass of embedding with images held in memory, and with images read from a
file on a local disk that the system has forgotten (its cache is dropped before each run). The same
images, steps and results. With --folder the file lies there.
"""

import os
import tempfile
from pathlib import Path

import fabricate
import numpy as np
import torch
from common import Row, arguments, compare, report
from training import Ours, make_network

from mprd.data import pixels
from mprd.inference.embed import embed_store
from mprd.system.torch_setup import set_up_cpu

TARGET = 0.8


def forget(path: Path) -> None:
    """Drop what the system holds of a file."""
    os.sync()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    options = arguments(
        __doc__, device="cpu", backbone="mini", height=64, width=32, n=20_000, steps=60, folder=""
    )
    set_up_cpu(None)
    device = torch.device(options.device)
    config = fabricate.config(
        data={"height": options.height, "width": options.width},
        model={"backbone": options.backbone},
        train={"iters": options.steps},
    )
    size = f"{options.n:,} images, {options.backbone}, {options.height}x{options.width}"
    hold = pixels.held_pixels
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder or None) as folder:
        file = Path(folder) / "pixels.h5"
        held = Ours(config, options.n, Path(folder), device)
        held()  # reads them
        pixels.held_pixels = lambda size: 0
        read = Ours(config, options.n, Path(folder), device)
        read()
        pixels.held_pixels = hold
        network = make_network(config, device).eval()
        tasks = {
            "training": (lambda: held(), lambda: read()),
            "embedding": (
                lambda: embed_store(network, held.store, device),
                lambda: embed_store(network, read.store, device),
            ),
        }
        for name, (from_memory, from_file) in tasks.items():

            def cold(from_file=from_file) -> None:
                forget(file)
                from_file()

            found = compare(cold, from_memory, runs=5)
            # How many times as fast from the file as from memory.
            rows.append(
                Row(
                    f"{name} from a file, cold cache, {device.type}",
                    size,
                    f"{found.ratio:.2f}x the rate from memory",
                    f"{TARGET}x",
                    found.ratio >= TARGET,
                    f"{found.times()}; {file.stat().st_size / 2**20:,.0f} MiB",
                )
            )
        a, b = (embed_store(network, one.store, device) for one in (held, read))
        assert np.array_equal(a, b)
    report(rows, options.json)


if __name__ == "__main__":
    main()
