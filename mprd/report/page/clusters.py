"""The clusters of the final model."""

from collections.abc import Iterator

import numpy as np

from mprd.judging.audit_file import audit_words
from mprd.report.page.blocks import Block, Picture, Plots, Section, Strip, Strips, Text
from mprd.report.page.plots import histogram
from mprd.report.page.run_data import RunData, train_picture

_SHOWN = 4  # clusters of a kind
_PICTURES = 10  # of a cluster


def clusters(run: RunData) -> Section:
    """Return sizes and a contact sheet of clusters."""
    title = "Clusters"
    if run.labels.max(initial=-1) < 0:
        return Section("clusters", title, blocks=(Text("There are none."),))
    return Section(
        "clusters",
        title,
        "The clusters of the final model, as in final/clusters.csv. Images are sorted by camera. "
        "The label below an image names it.",
        tuple(_blocks(run)),
    )


def _blocks(run: RunData) -> Iterator[Block]:
    yield Text(f"Clusters {audit_words(run.layout)}.")
    labels = run.labels
    sizes = np.bincount(labels[labels >= 0])
    yield Plots([histogram("images in a cluster", sizes, "images", "clusters")])
    yield _sheet(run, "Largest", np.argsort(-sizes, kind="stable"))
    yield _sheet(run, "Smallest", np.argsort(sizes, kind="stable"))
    if len(np.unique(run.camera[run.camera >= 0])) > 1:
        mixed = camera_entropy(labels, run.camera)
        yield _sheet(run, "Most cameras", np.argsort(-mixed, kind="stable"))
        alone = np.flatnonzero(mixed == 0)
        if len(alone):
            by_size = alone[np.argsort(-sizes[alone], kind="stable")]
            yield _sheet(run, "Of one camera only", by_size)
    if (before := run.labels_before) is None:
        return
    kept = overlap(labels, before)
    if (kept < 1).any():
        changed = np.argsort(kept, kind="stable")
        yield _sheet(
            run, "Changed most since the clusters of the last epoch", changed[kept[changed] < 1]
        )


def _sheet(run: RunData, title: str, numbers: np.ndarray) -> Strips:
    return Strips(title, [_strip(run, int(number)) for number in numbers[:_SHOWN]])


def _strip(run: RunData, number: int) -> Strip:
    members = np.flatnonzero(run.labels == number)
    shown = f", {_PICTURES} of them" if len(members) > _PICTURES else ""
    title = f"cluster {run.number(number)}, {len(members)} images{shown}"
    return Strip(title, _members(run, members))


def _members(run: RunData, members: np.ndarray) -> list[Picture]:
    """Return evenly spread members, sorted by camera."""
    ordered = members[np.argsort(run.camera[members], kind="stable")]
    if len(ordered) > _PICTURES:
        ordered = ordered[np.linspace(0, len(ordered) - 1, _PICTURES).round().astype(int)]
    return [train_picture(run, int(row)) for row in ordered]


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
