"""Stage `features`: embed the images of one or more splits."""

from pathlib import Path

from mprd.artifacts import FEATURES, INDEX, SPLITS, write_artifact
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.errors import UserError
from mprd.inference.embed import embed_store
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.stages.network_inputs import inference_sizes, open_images, read_model
from mprd.system import group
from mprd.system.torch_setup import select_device


@exclusive
def run_features(
    *, index: Path, pixels: Path, model: Path, out: Path, config: Config, split: str = "train"
) -> None:
    """Write the L2-normalised embeddings of the splits, in index order.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        model: `model.safetensors`.
        out: `features.h5` to write.
        config: `device`, `precision` and `features.dtype` are read.
        split: `train`, `query`, `gallery`, or several of them, comma-separated.

    Raises:
        UserError: an input is missing, damaged, or of another run; no such split; NaN embeddings;
            too little memory.
    """
    splits = _splits(split)
    lineage = Lineage("features")
    artifact = lineage.read("index", index, INDEX)
    device = select_device(config.device)
    rows = split_rows(artifact, *splits)
    store = open_images(lineage, pixels, artifact, rows, device)
    network = read_model(lineage, model, config.precision)
    require_memory("features", inference_sizes(network, store), config)
    features = embed_store(network.to(device), store, device)
    if not group.writes():
        return
    write_artifact(
        out,
        FEATURES,
        {"features": features.astype(config.features.dtype), "row": rows},
        config=stage_settings(config, "features"),
        inputs=lineage.digests,
        attributes={"splits": ",".join(splits)},
    )


def _splits(names: str) -> tuple[str, ...]:
    """Return splits in the order of the index."""
    wanted = set(names.split(","))
    unknown = sorted(wanted - set(SPLITS))
    if unknown:
        raise UserError(f"--split {unknown[0]} is not one of {', '.join(SPLITS)}.")
    return tuple(split for split in SPLITS if split in wanted)
