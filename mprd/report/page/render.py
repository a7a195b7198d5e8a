"""Sections to one self-contained HTML page."""

from collections.abc import Sequence

from bokeh.embed import components
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader

from mprd.report.page.blocks import Section
from mprd.report.page.thumbnails import Thumbnails

_CAMERA_COLORS = 10  # told apart in the style sheet


def render(title: str, sections: Sequence[Section], thumbnails: Thumbnails | None = None) -> str:
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
