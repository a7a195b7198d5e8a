"""The result of a search as a page with pictures: a row for each query."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mprd.data.images import decode
from mprd.inference.find import Found, facts
from mprd.inference.sightings import Sightings
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


def search_page(found: Found, at_least: float = -1.0) -> str:
    """Return a page with a row for each query.

    Args:
        found: of `find_images`.
        at_least: less similar images are not shown.
    """
    queries, gallery = found.queries, found.gallery
    sides = [facts(side, n) for side, n in _images(found)]
    names = sorted({one.get("camera", "") for one in sides} - {""})

    def picture(number: int, path: Path, note: str, mark: str = "") -> Picture:
        known = {name: value for name, value in sides[number].items() if value}
        name = known.get("camera", "")
        return Picture(
            row=number,
            camera=names.index(name) if name else -1,
            camera_name=name,
            title=", ".join([str(path), *(f"{fact} {value}" for fact, value in known.items())]),
            note=" ".join([note, *([known["time"]] if "time" in known else [])]),
            mark=mark,
            path=str(path),
            facts=tuple(known.items()),
        )

    strips = []
    for number, query in enumerate(queries):
        pictures = [picture(number, query, "query", "query")]
        matches = zip(found.similarity[number], found.index[number].tolist(), strict=True)
        for near, row in matches:
            if near < at_least:
                break
            pictures.append(picture(len(queries) + row, gallery[row], f"{near:.2f}"))
        none = "" if len(pictures) > 1 else f": no match of {at_least:g} or more"
        strips.append(Strip(query.name + none, pictures))
    corrected = "" if found.evidence is None else ", corrected by the times of the two images"
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


def _images(found: Found) -> Iterator[tuple[Sightings | None, int]]:
    """Yield what is known of the queries, then of the gallery."""
    for seen, images in ((found.seen, found.queries), (found.others, found.gallery)):
        for number in range(len(images)):
            yield seen, number
