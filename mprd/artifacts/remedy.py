"""What to do about a file that is missing or damaged: make it again, by the stage that makes it."""

from pathlib import Path

EPOCHS, FINAL = "epochs", "final"  # folders of a run


def maker(path: Path, command: str) -> str:
    """Return the command that makes a file.

    Args:
        path: the file.
        command: that makes such files, before the first epoch and by hand.

    Example:
        >>> maker(Path("results/demo/epochs/003/model.safetensors"), "init")
        'train'
    """
    if path.parent.name == FINAL:
        return "export"
    weights = path.suffix == ".safetensors"
    return "train" if weights and path.parent.parent.name == EPOCHS else command


def remedy(path: Path, command: str) -> str:
    """Return a sentence for the end of a message; arguments as `maker`."""
    return f"Make it again with `mprd {maker(path, command)}`."
