"""Where an artifact comes from: a stage refuses files that do not belong together."""

from pathlib import Path

from mprd.artifacts import Artifact
from mprd.errors import UserError, how_to_fix


def require_parent(child: Artifact, name: str, parent: str, parent_path: Path) -> None:
    """Check that an artifact was made from a given other one.

    Args:
        child: the artifact.
        name: role of the parent in `child.inputs`.
        parent: digest of the parent at hand.
        parent_path: its path, for the message.

    Raises:
        UserError: it was made from another (stale, or of another run or data set).
    """
    recorded = child.inputs.get(name)
    if recorded != parent:
        raise UserError(
            f"{child.path} was made from another {name} than {parent_path}: it is stale or "
            f"belongs to another run. {how_to_fix(child.path, child.schema.command)}"
        )
