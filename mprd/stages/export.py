"""Stage `export`: what a user takes from a run."""

import json
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, SPLITS, Artifact, write_artifact
from mprd.config import Config
from mprd.data.index import camera_names, split_rows
from mprd.inference.feature_files import index_features
from mprd.models.weights import add_card, read_architecture
from mprd.pipeline.files import require_given
from mprd.pipeline.layout import FinalLayout, RunLayout
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.settings import stage_settings
from mprd.stages.added_images import placed_again
from mprd.stages.cluster_csv import write_final_tables
from mprd.stages.exclusive import exclusive
from mprd.stages.network_inputs import embed_images
from mprd.system import group


@exclusive
def run_export(
    *,
    index: Path,
    features: Path,
    clusters: Path,
    out: Path,
    config: Config,
    pixels: Path | None = None,
    model: Path | None = None,
) -> None:
    """Write the last model with its card, embeddings of all images, and a table of the clusters.

    The clusters are those of the trained model: each epoch's own clusters are older, made from
    the model that the epoch began with. Cluster -1 is an outlier; the images are ranked by doubt,
    from 1, the first to look at. A table that differs from the one it replaces leaves that as
    `clusters.1.csv`. With `data.features` there is no model.

    Args:
        index: `index.h5`.
        features: embeddings of the training images by this model.
        clusters: the clusters that follow from them.
        out: folder to write into.
        config: of the run.
        pixels: `pixels.h5`, unless `data.features` is set.
        model: `model.safetensors` of the last epoch, likewise.

    Raises:
        UserError: an input is missing, damaged or of another run; too little memory.
    """
    require_given("export", {"pixels": pixels, "model": model}, config)
    lineage, end = Lineage("export"), FinalLayout(out)
    images = lineage.read("index", index, INDEX)
    others = split_rows(images, *SPLITS[1:])
    train = lineage.read("features", features, FEATURES)
    found = lineage.read("clusters", clusters, CLUSTERS)
    rows = np.concatenate([train["row"], others])
    if config.data.features is not None:
        embeddings = index_features(config.data.features, images)[rows]
    else:
        assert pixels is not None  # it and the model were required
        assert model is not None
        more = embed_images(lineage, pixels, images, others, model, config)
        embeddings = np.concatenate([train["features"], more])
    if not group.writes():
        return
    write_artifact(
        end.embeddings,
        FEATURES,
        {
            "features": embeddings.astype(config.features.dtype),
            "row": rows,
        },
        config=stage_settings(config, "export"),
        inputs=_made_from(lineage, train),
        attributes={"splits": ",".join(SPLITS)},
    )
    if model is not None:
        add_card(model, end.model, _card(model, images, found))
    added = placed_again(RunLayout(out.parent), images, found, config)
    write_final_tables(end, images, train["row"], found, added)


def _made_from(lineage: Lineage, features: Artifact) -> dict[str, str]:
    """Return the digests of what embeddings are made from: images and model, or a user's file."""
    known = features.inputs | lineage.digests
    return {name: known[name] for name in ("index", "pixels", "model", "file") if name in known}


def _card(model: Path, index: Artifact, clusters: Artifact) -> str:
    """Return the card of a model as Markdown: what it was made from, and the clusters it finds.

    Figures that are not known (NaN) are left out.
    """
    architecture, config = read_architecture(model)
    images = {key: index.attributes[key] for key in ("dataset", "num_train")}
    cameras = len(camera_names(index)) or "unknown"
    data = {"data set": images["dataset"], "images": images["num_train"], "cameras": cameras}
    data["settings"] = json.dumps(config, sort_keys=True)
    names = ("confident_together", "cohesion", "nmi", "pair_precision", "pair_recall")
    found = {"clusters": float(len(clusters["sizes"]))}
    found |= {"outliers": float(clusters.attributes["num_outliers"])}
    figures = found | {name: float(clusters.attributes[name]) for name in names}
    environment = Environment(
        loader=PackageLoader("mprd.models"), trim_blocks=True, undefined=StrictUndefined
    )
    return environment.get_template("card.md.j2").render(
        network=architecture,
        data=data,
        metrics={name: value for name, value in figures.items() if not np.isnan(value)},
    )
