"""What a page is made of. Sections return these, `templates/page.html.j2` draws them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from bokeh.embed import components
from bokeh.plotting import figure
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader

_CAMERA_COLORS = 10  # told apart in the style sheet


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes:
        row: of the index.
        camera: -1 unknown.
        camera_name: what stands in its mark.
        title: shown when the pointer rests on it: path, identity and the like.
        note: a few characters below it.
        mark: `right`, `wrong`, `query` or nothing: the frame.
    """

    row: int
    camera: int
    camera_name: str
    title: str
    note: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Tiles:
    """The few metrics that count: (name, value)."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """Rows of text below a header; numbers from the second column on."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Plots:
    """Plots side by side, as many as fit.

    Attributes:
        figures: the plots.
        texts: what each shows, for those who cannot see it; none: their titles say it.
    """

    kind: ClassVar[str] = "plots"
    figures: Sequence[figure]
    texts: Sequence[str] = ()


@dataclass(frozen=True)
class Strip:
    """Pictures in a row."""

    kind: ClassVar[str] = "strip"
    title: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Strips:
    """Rows of pictures under one heading, side by side where there is room."""

    kind: ClassVar[str] = "strips"
    title: str
    strips: Sequence[Strip]


Block = Text | Tiles | Table | Plots | Strip | Strips


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its address in the page.
        title: its heading.
        intro: a sentence on what is seen here.
        blocks: its contents, from top to bottom.
    """

    anchor: str
    title: str
    intro: str = ""
    blocks: Sequence[Block] = field(default_factory=tuple)

    def pictures(self) -> list[Picture]:
        """Return all pictures in it."""
        strips = [b for b in self.blocks if isinstance(b, Strip)]
        strips += [s for b in self.blocks if isinstance(b, Strips) for s in b.strips]
        return [picture for strip in strips for picture in strip.pictures]

    def figures(self) -> list[figure]:
        """Return all plots in it."""
        return [f for block in self.blocks if isinstance(block, Plots) for f in block.figures]


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
