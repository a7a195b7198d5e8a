"""Stage `pixels`: decode and resize every image, once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mprd.artifacts import INDEX, PIXELS, create_artifact, row_checksums
from mprd.config import Config, DataConfig
from mprd.data.images import indexed_images, resized
from mprd.errors import many, say
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import Sizes, require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.system.progress import progress

_BLOCK = 512


@exclusive
def run_pixels(*, index: Path, out: Path, config: Config, threads: int = 1) -> None:
    """Write the resized images, block by block: memory does not grow with their number.

    Args:
        index: `index.h5`.
        out: `pixels.h5` to write.
        config: `data.height`, `data.width` and `data.bits` are read.
        threads: images decoded at a time.

    Raises:
        UserError: an image is missing or damaged, or too little memory; nothing is written.
    """
    lineage = Lineage("pixels")
    artifact = lineage.read("index", index, INDEX)
    paths = indexed_images(artifact, config)
    sums = [str(sha256) for sha256 in artifact["sha256"]]
    height, width = config.data.height, config.data.width
    require_memory("pixels", Sizes(images=len(paths)), config)
    with create_artifact(
        out,
        PIXELS,
        config=stage_settings(config, "pixels"),
        inputs=lineage.digests,
        size=len(paths) * height * width * 3,
    ) as file:
        data = file.create_dataset("pixels", (len(paths), height, width, 3), "uint8")
        checksums = file.create_dataset("crc32", (len(paths),), "uint32")
        plain: list[int] = []
        for start, block in _blocks(paths, sums, config.data, threads):
            data[start : start + len(block)] = block
            checksums[start : start + len(block)] = row_checksums(block)
            one_colour = (block == block[:, :1, :1]).all(axis=(1, 2, 3))
            plain += (start + np.flatnonzero(one_colour)).tolist()
    if plain:
        say(
            f"Warning: {many(len(plain), 'image shows', 'images show')} one colour only, first "
            f"'{artifact['path'][plain[0]]}'. What is transparent in a file is shown on white."
        )


def _blocks(
    paths: list[Path], sums: list[str], data: DataConfig, threads: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield first rows and blocks of images; the next block is decoded while one is written."""

    def load(path: Path, sha256: str) -> np.ndarray:
        return resized(path, data.height, data.width, sha256, data.bits)

    def loaded(start: int) -> Iterator[np.ndarray]:
        chosen = slice(start, start + _BLOCK)
        return pool.map(load, paths[chosen], sums[chosen])

    with (
        ThreadPoolExecutor(threads) as pool,
        progress(total=len(paths), desc="pixels", unit="image") as bar,
    ):
        try:
            ahead = loaded(0)
            for start in range(0, len(paths), _BLOCK):
                images = list(ahead)
                ahead = loaded(start + _BLOCK)
                bar.update(len(images))
                yield start, np.stack(images)
        finally:
            pool.shutdown(cancel_futures=True)  # after a damaged image: drop what waits
