"""The embedding as a map."""

import numpy as np
from sklearn.manifold import TSNE

from mprd.report.page.blocks import Plots, Section, Text
from mprd.report.page.pictures import train_picture
from mprd.report.page.plots import group_colors, maps
from mprd.report.page.run_data import RunData

_MOST = 1200  # images
_HEIGHT = 64  # of the pictures, pixels


def embedding_map(run: RunData) -> Section:
    """Return maps of the training images, coloured by cluster, camera and identity."""
    title = "Map of the embedding"
    count = len(run.labels)
    rng = np.random.default_rng(run.config.seed)
    chosen = np.sort(rng.choice(count, min(count, _MOST), replace=False))
    if len(chosen) < 4:
        return Section("map", title, blocks=(Text("Fewer than four images: there is no map."),))
    points = plane(run.aligned[chosen], run.config.seed)
    groups = {"cluster": run.labels, "camera": run.camera, "identity": run.identity}
    shown = {
        f"by {name}": group_colors(values[chosen])
        for name, values in groups.items()
        if (values >= 0).any()
    }
    pictures = run.thumbnails.addresses(run.rows[chosen], _HEIGHT)
    texts = [
        f"{train_picture(run, row).title}, cluster {run.number(run.labels[row])}"
        for row in chosen.tolist()
    ]
    images = [pictures[int(row)] for row in run.rows[chosen]]
    some = "" if len(chosen) == count else f" {len(chosen):,} images, drawn at random."
    return Section(
        "map",
        title,
        "t-SNE of the embeddings as the run compares them. Distances between far groups mean "
        f"nothing. Point at a dot to see its image. Grey dots are outliers, or unknown.{some}",
        (Plots(maps(points, images, texts, shown)),),
    )


def plane(features: np.ndarray, seed: int) -> np.ndarray:
    """Return points of the plane whose neighbourhoods are those of the features (t-SNE).

    Args:
        features: float32 (n, D), n >= 4.
        seed: of the optimisation.

    Returns:
        float32 (n, 2).
    """
    perplexity = min(30, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)
