"""How a user has unreadable images left out: what error messages may advise in this process."""

SETTING, OPTION = "data.on_bad_image: skip", "--skip-unreadable"
_way = SETTING


def advise(way: str) -> None:
    """Name the way that the command at hand has; "": it has none."""
    global _way
    _way = way


def or_left_out(what: str) -> str:
    """Return the end of an advice, such as `, or have such images left out (SETTING).`"""
    return f", or have {what} left out ({_way})." if _way else "."
