"""New images beside the clusters that they are nearest to, as a page with pictures."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.data.index import split_rows
from mprd.pipeline.layout import RunLayout
from mprd.report.page.blocks import Picture, Strip
from mprd.report.page.search_page import FileThumbnails, queries_page, query_picture
from mprd.report.page.thumbnails import Thumbnails

_MEMBERS = 3  # of each cluster


class _Pictures:
    """Pictures of new files, and behind them those of the images of a run."""

    ratio = None

    def __init__(self, files: Sequence[Path], pixels: Path) -> None:
        self._files, self._run = FileThumbnails(files), Thumbnails(pixels)
        self._count = len(files)

    def addresses(self, rows: Iterable[int], height: int = 96) -> dict[int, str]:
        """Return number -> address of the picture."""
        wanted = list(rows)
        new = self._files.addresses((row for row in wanted if row < self._count), height)
        old = self._run.addresses(
            (row - self._count for row in wanted if row >= self._count), height
        )
        return new | {row + self._count: address for row, address in old.items()}


def assign_page(
    run: RunLayout,
    files: Sequence[Path],
    cluster: Sequence[int],
    nearest: np.ndarray,
    similarity: np.ndarray,
) -> str:
    """Return a page with a row for each new image: it, and the surest members of near clusters.

    Args:
        run: layout of the run.
        files: n image files.
        cluster: the number of the cluster that each is assigned to, -1 none.
        nearest: int (n, c), the clusters nearest to each, best first.
        similarity: float (n, c), to these.
    """
    found, index = read_artifact(run.final.clusters, CLUSTERS), read_artifact(run.index, INDEX)
    rows, labels = split_rows(index, "train"), found["labels"]
    surest = np.lexsort((-found["membership"], labels))
    starts = np.searchsorted(labels[surest], np.arange(len(found["sizes"])))
    strips = []
    for number, file in enumerate(files):
        pictures = [query_picture(number, file)]
        for label, near in zip(nearest[number].tolist(), similarity[number], strict=True):
            name, size = int(found["number"][label]), int(found["sizes"][label])
            for member in surest[starts[label] :][: min(size, _MEMBERS)]:
                title = f"{index['path'][rows[member]]}, cluster {name}"
                place, note = len(files) + int(rows[member]), f"{name}: {near:.2f}"
                pictures.append(Picture(place, -1, "", title, note))
        own = cluster[number]
        said = f"cluster {own}" if own >= 0 else "no cluster, perhaps someone new"
        strips.append(Strip(f"{file.name}: {said}", pictures))
    text = (
        f"Beside each new image: the {_MEMBERS} surest members of the clusters that it is nearest "
        "to. Below each: the number of the cluster, and the similarity of the new image to its "
        "mean."
    )
    return queries_page("mprd: assign", text, strips, _Pictures(files, run.pixels))
