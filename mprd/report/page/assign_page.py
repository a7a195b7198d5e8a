"""New images beside the clusters that they are nearest to, as a page with pictures."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.data.added import read_added
from mprd.data.index import split_rows
from mprd.inference.assign import Assigned
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


def assign_page(run: RunLayout, found: Assigned) -> str:
    """Return a page with a row for each new image: it, and the surest members of near clusters.

    Args:
        run: layout of the run.
        found: new images with their clusters.
    """
    clusters, index = read_artifact(run.final.clusters, CLUSTERS), read_artifact(run.index, INDEX)
    later, rows = read_added(run, clusters), split_rows(index, "train")
    files = [*found.files, *later.files(index)]
    numbers = [*numbers_of(clusters["labels"], clusters["number"]), *later["number"]]
    trust = [*clusters["membership"], *later["membership"]]
    paths = [*index["path"][rows], *later.paths]
    places = [*(len(files) + rows), *(len(found.files) + np.arange(len(later)))]
    surest = np.lexsort((-np.array(trust), numbers))
    strips = []
    for row, (file, own) in enumerate(zip(found.files, found.table["cluster"], strict=True)):
        pictures = [query_picture(row, file)]
        near = zip(found.result.near[row], found.result.near_similarity[row], strict=True)
        for label, similarity in near:
            name = int(found.numbers[label])
            first = int(np.searchsorted(numbers, name, sorter=surest))
            for member in surest[first:][:_MEMBERS]:
                if numbers[member] == name:
                    title, note = f"{paths[member]}, cluster {name}", f"{name}: {similarity:.2f}"
                    pictures.append(Picture(int(places[member]), -1, "", title, note))
        said = f"cluster {own}" if own >= 0 else "no cluster, perhaps someone new"
        strips.append(Strip(f"{file.name}: {said}", pictures))
    text = (
        f"Beside each new image: the {_MEMBERS} surest members of the clusters that it is nearest "
        "to. Below each: the number of the cluster, and the similarity of the new image to its "
        "mean."
    )
    return queries_page("mprd: assign", text, strips, _Pictures(files, run.pixels))
