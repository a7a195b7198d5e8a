"""Stage `features`: embed the images of one or more splits."""

from pathlib import Path

from mprd.artifacts import FEATURES, SPLITS, write_artifact
from mprd.config import Config
from mprd.data.index import read_index, split_rows
from mprd.inference.embed import embed_store
from mprd.models.weights import load_network
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.stages.memory_checks import require_memory_for_inference
from mprd.stages.open_pixels import open_store
from mprd.system import group
from mprd.system.torch_setup import select_device

SETTINGS = ("precision", "features.dtype")


@exclusive
def run_features(
    *,
    index: Path,
    pixels: Path,
    model: Path,
    out: Path,
    config: Config,
    splits: tuple[str, ...] = ("train",),
) -> None:
    """Write the L2-normalised embeddings of the splits, in index order.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        model: `model.safetensors`.
        out: `features.h5` to write.
        config: `device`, `precision` and `features.dtype` are read.
        splits: which splits; all three are `SPLITS`.

    Raises:
        UserError: an input is missing, damaged, or of another run; NaN embeddings; too little
            memory.
    """
    artifact = read_index(index)
    device = select_device(config.device)
    rows = split_rows(artifact, *splits)
    store = open_store(pixels, artifact, rows, device)
    network, header = load_network(model, config.precision)
    require_memory_for_inference("features", network, store)
    features = embed_store(network.to(device), store, device)
    if not group.writes():
        return
    write_artifact(
        out,
        FEATURES,
        {"features": features.astype(config.features.dtype), "row": rows},
        config=stage_settings(config, "features"),
        inputs={"index": artifact.digest, "pixels": store.digest, "model": header["digest"]},
        attributes={"splits": ",".join(s for s in SPLITS if s in splits)},
    )
