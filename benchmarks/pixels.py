"""Stage `pixels` on as many JPEGs as Market-1501 has: `python benchmarks/pixels.py`."""

import tempfile
from pathlib import Path

import numpy as np
from common import Row, arguments, measure, report
from fabricate import config
from runs import draw_images

from mprd.artifacts import INDEX, read_artifact, write_artifact
from mprd.pipeline.layout import RunLayout
from mprd.stages.run_stage import run_stage
from mprd.system.threads import worker_count

IDENTITIES = 150  # of the synthetic images at most, which are then taken again and again


def repeated(index: Path, out: Path, count: int) -> None:
    """Write an index of `count` rows that go round the images of another."""
    artifact = read_artifact(index, INDEX)
    rows = np.resize(np.arange(len(artifact["path"])), count)
    per_image = [name for name, array in INDEX.arrays.items() if array.dims == ("n",)]
    arrays = artifact.arrays | {
        name: artifact[name][rows] for name in per_image if name in artifact.arrays
    }
    attributes = artifact.attributes
    write_artifact(out, INDEX, arrays, config={}, inputs={}, attributes=attributes)


def main() -> None:
    options = arguments(__doc__, n=12_936)
    identities = min(IDENTITIES, max(2, options.n // 8))
    synthetic = {"train_identities": identities, "test_identities": 2, "distractors": 0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = config(
            data={
                "dataset": "synthetic",
                "root": str(folder / "data"),
                "height": 256,
                "width": 128,
                "synthetic": synthetic,
            }
        )
        threads = worker_count(None)
        run, every = RunLayout(folder), folder / "all.h5"
        draw_images(settings, threads)
        run_stage("index", run, settings, threads=threads, out=every)
        peaks = {}
        for count in (options.n // 4, options.n):
            repeated(every, run.index, count)
            seconds, peaks[count] = measure(
                lambda: run_stage("pixels", run, settings, threads=threads)
            )
    rate = options.n / seconds
    few, many = peaks.values()
    report(
        [
            Row(
                "stage pixels, JPEG 64x128 to 256x128",
                f"{options.n:,} images, {threads} threads",
                f"{rate:,.0f} images/s",
                "1,500 images/s",
                rate >= 1500,
                "HDF5 file, digest and checks included",
            ),
            Row(
                "stage pixels, extra memory",
                f"{options.n:,} images",
                f"{many:.0f} MiB",
                "1 GB",
                many * 2**20 <= 1e9,
                f"{few:.0f} MiB for a quarter of the images",
            ),
        ],
        options.json,
    )


if __name__ == "__main__":
    main()
