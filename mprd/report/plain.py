"""Text of anyone for a terminal."""

from rich.text import Text

from mprd.errors import visible


def plain(text: object) -> Text:
    """Return text that rich shows as it is: nothing in it is markup, nothing is hidden."""
    return Text(visible(text))
