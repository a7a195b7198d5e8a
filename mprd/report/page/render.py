"""Sections as one HTML page that loads nothing from elsewhere."""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Protocol

from bokeh.document import Document
from bokeh.embed import components
from bokeh.plotting import figure
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader

from mprd.errors import shown, visible
from mprd.report.page.blocks import Picture, Section

_CAMERA_COLORS = 10  # told apart in the style sheet
_RANDOM_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class PictureSource(Protocol):
    """Where the pictures of a page come from."""

    @property
    def ratio(self) -> float | None:
        """Width / height of all of them; None: it differs."""

    def addresses(self, rows: Iterable[int]) -> dict[int, str]:
        """Return row -> address of the picture."""


def render(title: str, sections: Sequence[Section], thumbnails: PictureSource | None = None) -> str:
    """Return the page: no file and no address beside it is needed to show it.

    Each picture is in the page once, as text. The page's script makes an image of it when it comes
    into view.

    Args:
        title: of the page.
        sections: from top to bottom.
        thumbnails: where the pictures of the sections come from; None: there are none.
    """
    figures = [figure for section in sections for figure in section.figures()]
    script, plots = _plots(figures)
    pictures = [picture for section in sections for picture in section.pictures()]
    environment = Environment(
        loader=PackageLoader("mprd.report.page"),
        autoescape=True,
        trim_blocks=True,
        finalize=shown,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return environment.get_template("page.html.j2").render(
        title=title,
        sections=sections,
        pictures=_stored(sections, pictures, thumbnails) if thumbnails and pictures else None,
        ratio=thumbnails and thumbnails.ratio,
        camera_colors=_CAMERA_COLORS,
        library=Resources(mode="inline", components=["bokeh"]).render_js() if figures else "",
        script=script,
        plots=plots,
    )


def _plots(figures: Sequence[figure]) -> tuple[str, dict[str, str]]:
    """Return the script that draws the plots, and the place of each by its id.

    Bokeh draws random ids for places and document; here they are counted.
    """
    if not figures:
        return "", {}
    document = Document()
    with document.models.freeze():  # else all models are counted again with each plot
        for one in figures:
            document.add_root(one)
    script, places = components(figures)
    drawn = _RANDOM_ID.findall(" ".join(places))
    drawn += re.findall(rf'"docid":"({_RANDOM_ID.pattern})"', script)
    for number, name in enumerate(dict.fromkeys(drawn)):
        script = script.replace(name, f"plot-{number}")
        places = [place.replace(name, f"plot-{number}") for place in places]
    return script, dict(zip((one.id for one in figures), places, strict=True))


def _stored(
    sections: Sequence[Section], pictures: Sequence[Picture], source: PictureSource
) -> dict[str, Any]:
    """Return what the script reads: pictures by row, what is said of them, groups of rows."""
    told = {p.row: p for p in pictures}
    groups = [group for section in sections for group in section.groups()]
    return {
        "images": source.addresses(sorted(told)),
        "facts": {
            row: [visible(word) for word in (p.path or p.title, *chain.from_iterable(p.facts))]
            for row, p in told.items()
        },
        "cameras": {
            p.row: [p.camera % _CAMERA_COLORS, visible(p.camera_name)]
            for p in pictures
            if p.camera >= 0
        },
        "groups": {
            group.anchor: [[p.row, visible(p.note), p.mark] for p in group.pictures]
            for group in groups
        },
    }
