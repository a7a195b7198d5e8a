"""Stage `features`: embed the images of one or more splits, or take the features of a file."""

from pathlib import Path

from mprd.artifacts import FEATURES, INDEX, SPLITS, sha256_file, write_artifact
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.errors import UserError
from mprd.inference.feature_files import index_features
from mprd.pipeline.files import require_given
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.stages.network_inputs import embed_images
from mprd.system import group


@exclusive
def run_features(
    *,
    index: Path,
    out: Path,
    config: Config,
    pixels: Path | None = None,
    model: Path | None = None,
    split: str = "train",
) -> None:
    """Write the L2-normalised embeddings of the splits, in index order.

    Args:
        index: `index.h5`.
        out: `features.h5` to write.
        config: `device`, `precision`, `features.dtype` and `data.features` are read.
        pixels: `pixels.h5`, unless `data.features` is set.
        model: `model.safetensors`, likewise.
        split: `train`, `query`, `gallery`, or several of them, comma-separated.

    Raises:
        UserError: an input is missing, damaged, or of another run; no such split; NaN embeddings;
            too little memory; with `data.features`, as `matched_features`.
    """
    require_given("features", {"pixels": pixels, "model": model}, config)
    splits = _splits(split)
    lineage = Lineage("features")
    artifact = lineage.read("index", index, INDEX)
    rows = split_rows(artifact, *splits)
    inputs: dict[str, str] = {}
    if config.data.features is not None:
        features = index_features(config.data.features, artifact)[rows]
        inputs["file"] = sha256_file(config.data.features)
    else:
        assert pixels is not None  # it and the model were required
        assert model is not None
        features = embed_images(lineage, pixels, artifact, rows, model, config)
    if not group.writes():
        return
    write_artifact(
        out,
        FEATURES,
        {"features": features.astype(config.features.dtype), "row": rows},
        config=stage_settings(config, "features"),
        inputs=lineage.digests | inputs,
        attributes={"splits": ",".join(splits)},
    )


def _splits(names: str) -> tuple[str, ...]:
    """Return splits in the order of the index."""
    wanted = set(names.split(","))
    unknown = sorted(wanted - set(SPLITS))
    if unknown:
        raise UserError(f"--split {unknown[0]} is not one of {', '.join(SPLITS)}.")
    return tuple(split for split in SPLITS if split in wanted)
