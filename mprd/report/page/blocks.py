"""What a page is made of. Sections return these, `templates/page.html.j2` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from bokeh.plotting import figure


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
        path: shown with the large picture; "": the title.
        facts: (name, value), shown with the large picture.
    """

    row: int
    camera: int
    camera_name: str
    title: str
    note: str = ""
    mark: str = ""
    path: str = ""
    facts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Lead:
    """A paragraph in large type: what was found."""

    kind: ClassVar[str] = "lead"
    text: str


@dataclass(frozen=True)
class Command:
    """A sentence, and a command to copy.

    Attributes:
        text: what it is good for.
        command: as it is typed into a shell.
    """

    kind: ClassVar[str] = "command"
    text: str
    command: str


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


@dataclass(frozen=True)
class Group:
    """Pictures of one kind, drawn when they are scrolled into view.

    Attributes:
        anchor: its address in the page.
        title: its heading.
        pictures: what is drawn of it.
        note: what is not drawn, and how to see it.
        keys: what it can be sorted by, one number for each order of its `Groups`.
    """

    anchor: str
    title: str
    pictures: Sequence[Picture]
    note: str = ""
    keys: Sequence[float] = ()


@dataclass(frozen=True)
class Groups:
    """Groups of pictures, one below the other.

    Attributes:
        groups: in the first order.
        orders: names of the orders that a reader can choose; groups descend by their key.
    """

    kind: ClassVar[str] = "groups"
    groups: Sequence[Group]
    orders: Sequence[str] = ()


Block = Text | Lead | Command | Table | Plots | Strip | Strips | Groups


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its address in the page.
        title: its heading.
        intro: a sentence on what is seen here.
        blocks: its contents, from top to bottom.
        folded: only the heading is seen until it is clicked.
    """

    anchor: str
    title: str
    intro: str = ""
    blocks: Sequence[Block] = field(default_factory=tuple)
    folded: bool = False

    def pictures(self) -> list[Picture]:
        """Return all pictures in it."""
        rows: list[Strip | Group] = [b for b in self.blocks if isinstance(b, Strip)]
        rows += [s for b in self.blocks if isinstance(b, Strips) for s in b.strips]
        rows += self.groups()
        return [picture for row in rows for picture in row.pictures]

    def groups(self) -> list[Group]:
        """Return all groups of pictures."""
        return [g for block in self.blocks if isinstance(block, Groups) for g in block.groups]

    def figures(self) -> list[figure]:
        """Return all plots in it."""
        return [f for block in self.blocks if isinstance(block, Plots) for f in block.figures]
