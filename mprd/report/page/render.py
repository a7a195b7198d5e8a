"""Sections to one self-contained HTML page."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from bokeh.embed import components
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader

from mprd.report.page.blocks import Section

_CAMERA_COLORS = 10  # told apart in the style sheet


class PictureSource(Protocol):
    """Where the pictures of a page come from."""

    def addresses(self, rows: Iterable[int]) -> dict[int, str]:
        """Return row -> address of the picture."""


def render(title: str, sections: Sequence[Section], thumbnails: PictureSource | None = None) -> str:
    """Return the page: no file and no address beside it is needed to show it.

    Args:
        title: of the page.
        sections: from top to bottom.
        thumbnails: where the pictures of the sections come from; None: there are none.
    """
    figures = [figure for section in sections for figure in section.figures()]
    script, divs = components(figures) if figures else ("", ())
    rows = {picture.row for section in sections for picture in section.pictures()}
    addresses = thumbnails.addresses(rows) if thumbnails and rows else {}
    environment = Environment(
        loader=PackageLoader("mprd.report.page"), autoescape=True, trim_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        title=title,
        sections=sections,
        pictures=addresses,
        camera_colors=_CAMERA_COLORS,
        library=Resources(mode="inline", components=["bokeh"]).render_js() if figures else "",
        script=script,
        plots=dict(zip((figure.id for figure in figures), divs, strict=True)),
    )
