"""Artifacts of any size without images: for measuring a stage alone."""

from pathlib import Path

import h5py
import numpy as np
from common import embeddings

from mprd.artifacts import FEATURES, INDEX, PIXELS, create_artifact, row_checksums, write_artifact
from mprd.config import Config, merge, validate
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout
from mprd.stages.run_stage import run_stage


def config(**sections: object) -> Config:
    """Return settings that need no download, with the losses of the papers."""
    base = {"init": {"method": "random"}, "train": {"use_hsd": True, "use_ppa": True}}
    return validate(merge(base, sections), "benchmark")


def write_index(folder: Path, train: int, query: int = 0, gallery: int = 0) -> None:
    """Write `index.h5`: identities of 17 images, six cameras."""
    count = train + query + gallery
    rng = np.random.default_rng(0)
    _, identity = embeddings(train, 1)
    others = rng.integers(0, max(1, gallery // 25), query + gallery)
    write_artifact(
        folder / "index.h5",
        INDEX,
        {
            "path": np.array([f"{i:08d}.jpg" for i in range(count)], object),
            "split": np.repeat(np.arange(3, dtype=np.uint8), [train, query, gallery]),
            "identity": np.concatenate([identity, others + train]).astype(np.int32),
            "camera": rng.integers(0, 6, count).astype(np.int16),
            "time": np.full(count, np.nan),
            "track": np.full(count, -1, np.int32),
            "width": np.full(count, 64, np.int32),
            "height": np.full(count, 128, np.int32),
            "sha256": np.full(count, "0" * 64, object),
            "identity_names": np.array([], object),
            "track_names": np.array([], object),
        },
        config={},
        inputs={},
        attributes={
            "dataset": "fabricated",
            "root": str(folder),
            "camera_names": "[]",
            "time_unit": "",
            "num_train": train,
            "num_query": query,
            "num_gallery": gallery,
            "num_skipped": 0,
        },
    )


def write_pixels(folder: Path, height: int, width: int) -> None:
    """Write `pixels.h5`: an identity has two colours, a camera its light."""
    with h5py.File(folder / "index.h5") as file:
        index = str(file.attrs["digest"])
        identity, camera = file["identity"][:], file["camera"][:]
    rng = np.random.default_rng(1)
    colors = rng.integers(30, 220, (int(identity.max()) + 1, 2, 3))
    light = rng.uniform(0.7, 1.1, 6)
    half = np.repeat([0, 1], [height // 2, height - height // 2])
    # Drawing noise for each image would take most of the time.
    noise = rng.normal(0, 25, (64, height, width, 3)).astype(np.int16)
    with create_artifact(folder / "pixels.h5", PIXELS, config={}, inputs={"index": index}) as file:
        shape = (len(identity), height, width, 3)
        data = file.create_dataset("pixels", shape, "uint8")
        checksums = file.create_dataset("crc32", shape[:1], "uint32")
        for start in range(0, len(identity), len(noise)):
            rows = slice(start, start + len(noise))
            block = colors[identity[rows]][:, half, None] * light[camera[rows]][:, None, None, None]
            images = block.astype(np.int16) + noise[rng.permutation(len(noise))[: len(block)]]
            data[rows] = images = images.clip(0, 255).astype(np.uint8)
            checksums[rows] = row_checksums(images)


def write_features(folder: Path, dim: int) -> None:
    """Write `features.h5` of the training images in epoch 1; the model is not looked at."""
    with h5py.File(folder / "index.h5") as file:
        index, count = str(file.attrs["digest"]), int(file.attrs["num_train"])
    write_artifact(
        RunLayout(folder).epoch(FIRST_EPOCH).features,
        FEATURES,
        {"features": embeddings(count, dim)[0], "row": np.arange(count)},
        config={},
        inputs={"index": index, "model": model_digest(folder)},
        attributes={"splits": "train"},
    )


def model_digest(folder: Path) -> str:
    """Return the digest of the initial model, "" if there is none."""
    from mprd.models.weights import load_network

    path = RunLayout(folder).initial_model
    return load_network(path)[1]["digest"] if path.exists() else ""


def write_model(folder: Path, settings: Config) -> None:
    """Write an untrained initial model."""
    run_stage("init", RunLayout(folder), settings)
