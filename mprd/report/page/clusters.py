"""All clusters of the final model as rows of pictures, and the outliers."""

from collections.abc import Iterator, Sequence

import numpy as np

from mprd.errors import many, pasted
from mprd.report.page.blocks import Block, Group, Groups, Picture, Plots, Section, Text
from mprd.report.page.doubt import doubt
from mprd.report.page.pictures import train_picture
from mprd.report.page.plots import histogram
from mprd.report.page.run_data import RunData

_PICTURES = 10_000  # of all clusters together, at most
_OUTLIERS = 2_000  # drawn, at most
_MOST, _LEAST = 100, 4  # pictures of one cluster, at most, and before clusters are left out
_ORDERS = ("doubt", "size", "cameras")
_CHANGED = "change since the last epoch"


def clusters(run: RunData) -> Section:
    """Return every cluster, the most doubtful first."""
    title = "All clusters"
    if run.labels.max(initial=-1) < 0:
        return Section("clusters", title, blocks=(Text("There are none."),))
    return Section(
        "clusters",
        title,
        "The most doubtful first. Doubt is 1 minus the mean relation of the images to each other: "
        "it is high where they are unlike. Within a cluster the most doubtful images come first. "
        "Click a picture to see it large.",
        tuple(_blocks(run)),
    )


def outliers(run: RunData) -> Section | None:
    """Return the images in no cluster, those nearest to one first; None: there are none."""
    members = np.flatnonzero(run.labels < 0)
    if not len(members):
        return None
    near = run.nearest
    order = members[np.argsort(-near.relation[members], kind="stable")][:_OUTLIERS]
    pictures = []
    for row in order.tolist():
        label = int(near.cluster[row])
        pictures.append(
            train_picture(run, row, f"near {run.number(label)}" if label >= 0 else "near none")
        )
    left = len(members) - len(order)
    note = f"{left:,} more are not drawn. All: {_inspect(run, '-1')}" if left else ""
    count = many(len(members), "outlier")
    return Section(
        "outliers",
        "Outliers",
        "Images in no cluster, those most similar to one first. Below an image: the cluster that "
        "it is nearest to; none, where no image of a cluster is among its neighbours.",
        (Groups([Group("outlier-images", count, pictures, note)]),),
    )


def _blocks(run: RunData) -> Iterator[Block]:
    labels, clusters = run.labels, run.clusters
    sizes = np.bincount(labels[labels >= 0])
    doubts = doubt(clusters["membership"], labels)
    keys = [doubts, sizes, camera_entropy(labels, run.camera)]
    orders = [*_ORDERS]
    if run.labels_before is not None:
        keys.append(1 - overlap(labels, run.labels_before))
        orders.append(_CHANGED)
    most, shown = picture_limits(sizes)
    order = np.argsort(-doubts, kind="stable")
    by_cluster = np.split(
        np.lexsort((clusters["membership"], labels)), np.cumsum([(labels < 0).sum(), *sizes[:-1]])
    )
    if left := len(sizes) - shown:
        yield Text(
            f"The {shown:,} most doubtful of {len(sizes):,} clusters are drawn, {left:,} are not. "
            f"final/clusters.csv has all. One of them: {_inspect(run, 'NUMBER')}"
        )
    yield Groups(
        [
            _group(run, label, by_cluster[label + 1], most, [float(key[label]) for key in keys])
            for label in order[:shown].tolist()
        ],
        orders,
    )
    yield Plots([histogram("images in a cluster", sizes, "images", "clusters")])


def picture_limits(sizes: np.ndarray) -> tuple[int, int]:
    """Return how many pictures of one cluster are drawn at most, and how many clusters.

    All images of a cluster are drawn up to 100. If these are more than 10,000 pictures, fewer of
    each cluster are drawn; if four of each are still too many, clusters are left out.

    Args:
        sizes: int (K,), images of each cluster.
    """
    for most in range(_MOST, _LEAST, -1):
        if np.minimum(sizes, most).sum() <= _PICTURES:
            return most, len(sizes)
    return _LEAST, min(len(sizes), _PICTURES // _LEAST)


def _group(
    run: RunData, label: int, members: np.ndarray, most: int, keys: Sequence[float]
) -> Group:
    """Return a cluster; of a large one members evenly from doubtful to sure.

    Args:
        run: the run.
        label: of the cluster.
        members: training rows, the most doubtful first.
        most: pictures.
        keys: what it is sorted by.
    """
    number, cameras = run.number(label), np.unique(run.camera[members])
    words = [f"cluster {number}", many(len(members), "image")]
    if len(run.camera_names) > 1:
        words.append(many(int((cameras >= 0).sum()), "camera"))
    words.append(f"doubt {keys[0]:.2f}")
    note, drawn = "", members
    if left := max(0, len(members) - most):
        drawn = members[np.linspace(0, len(members) - 1, most).round().astype(int)]
        note = (
            f"{most:,} are drawn, evenly from doubtful to sure; {left:,} are not. All: "
            f"{_inspect(run, str(number))}"
        )
    pictures: list[Picture] = [train_picture(run, row) for row in drawn.tolist()]
    return Group(f"cluster-{number}", ", ".join(words), pictures, note, keys)


def _inspect(run: RunData, number: str) -> str:
    """Return the command that lists a cluster."""
    path = pasted(run.layout.final.clusters)
    return f"mprd inspect {path} --cluster {number}"


def camera_entropy(labels: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """Return the entropy of the cameras in each cluster, in bits; 0: one camera, or none known.

    Args:
        labels: int (N,), -1 outlier.
        cameras: int (N,), -1 unknown: not counted.

    Returns:
        float64 (K,).
    """
    known = (labels >= 0) & (cameras >= 0)
    counts = np.zeros((int(labels.max(initial=-1)) + 1, int(cameras.max(initial=0)) + 1))
    np.add.at(counts, (labels[known], cameras[known]), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)


def overlap(labels: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return, for each cluster, its largest Jaccard index with one of another clustering.

    Args:
        labels: int (N,), -1 outlier.
        before: int (N,), -1 outlier.

    Returns:
        float64 (K,), 1: the same images, 0: all of them were outliers.
    """
    sizes, old_sizes = (np.bincount(x[x >= 0], minlength=1) for x in (labels, before))
    both = (labels >= 0) & (before >= 0)
    cells, shared = np.unique(np.stack([labels[both], before[both]]), axis=1, return_counts=True)
    union = sizes[cells[0]] + old_sizes[cells[1]] - shared
    best = np.zeros(int(labels.max(initial=-1)) + 1)
    np.maximum.at(best, cells[0], shared / union)
    return best
