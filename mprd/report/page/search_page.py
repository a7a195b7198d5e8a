"""The result of a search as a page with pictures: a row for each query."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mprd.data.images import decode
from mprd.report.page.blocks import Picture, Section, Strip, Strips
from mprd.report.page.render import PictureSource, render
from mprd.report.page.thumbnails import picture_address


class FileThumbnails:
    """Pictures of image files, by their number."""

    ratio = None

    def __init__(self, paths: Sequence[Path]) -> None:
        """Take the files; they are read when they are asked for."""
        self._paths = paths

    def addresses(self, rows: Iterable[int], height: int = 96) -> dict[int, str]:
        """Return number -> address of the picture.

        Raises:
            UserError: a file is gone, or no image.
        """
        return {row: picture_address(decode(self._paths[row]), height) for row in sorted(set(rows))}


def search_page(
    queries: Sequence[Path],
    gallery: Sequence[Path],
    similarity: np.ndarray,
    index: np.ndarray,
    at_least: float = -1.0,
    *,
    timed: bool = False,
) -> str:
    """Return a page with a row for each query.

    Args:
        queries: Q image files.
        gallery: G image files.
        similarity: float (Q, k).
        index: int (Q, k), rows of the gallery.
        at_least: less similar images are not shown.
        timed: similarities are corrected by times.
    """
    strips = []
    for number, query in enumerate(queries):
        pictures = [query_picture(number, query)]
        for near, row in zip(similarity[number], index[number].tolist(), strict=True):
            if near < at_least:
                break
            title = str(gallery[row])
            pictures.append(Picture(len(queries) + row, -1, "", title, f"{near:.2f}"))
        none = "" if len(pictures) > 1 else f": no match of {at_least:g} or more"
        strips.append(Strip(query.name + none, pictures))
    corrected = ", corrected by the times of the two images" if timed else ""
    text = f"Below each image: its cosine similarity to the query{corrected}."
    return queries_page("mprd: search", text, strips, FileThumbnails([*queries, *gallery]))


def query_picture(number: int, file: Path) -> Picture:
    """Return the picture of an image that others are compared with.

    Args:
        number: of the picture.
        file: of the image.
    """
    return Picture(number, -1, "", str(file), "query", "query")


def queries_page(title: str, text: str, strips: Sequence[Strip], pictures: PictureSource) -> str:
    """Return a page with a row of pictures for each query.

    Args:
        title: of the page.
        text: what is seen.
        strips: the rows.
        pictures: where they come from.
    """
    section = Section("results", "Results", text, (Strips("", strips),))
    return render(title, [section], pictures)
