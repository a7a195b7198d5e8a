"""The settings of a run with `data.features`: there is no network, so nothing is trained."""

from pathlib import Path
from typing import Any


def without_epochs(values: Any) -> Any:
    """Return raw settings; those with `data.features` that name no `epochs` have none.

    Args:
        values: as read from YAML, unchecked.
    """
    data = values.get("data") if isinstance(values, dict) else None
    given = isinstance(data, dict) and data.get("features") is not None
    return {"epochs": 0, **values} if given else values


def require_network(features: Path | None, epochs: int, *, use_gcn: bool) -> None:
    """Check that only a run with a network trains.

    Args:
        features: `data.features`.
        epochs: `epochs`.
        use_gcn: `use_gcn`.

    Raises:
        ValueError: epochs or a relation GCN without a network, or a network without epochs.
    """
    if features is None and not epochs:
        raise ValueError("epochs is 0: only a run with data.features trains nothing")
    if features is not None and epochs:
        raise ValueError(
            f"epochs is {epochs}, but a run with data.features has no network to train: leave "
            "epochs out"
        )
    if features is not None and use_gcn:
        raise ValueError(
            "use_gcn needs a network, and a run with data.features has none: leave use_gcn out"
        )
