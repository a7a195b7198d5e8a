"""The settings of a run that trains nothing: it clusters the start features, or given ones."""

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
    """Check that only a run with a network trains, and that one with a relation GCN does.

    Args:
        features: `data.features`.
        epochs: `epochs`.
        use_gcn: `use_gcn`.

    Raises:
        ValueError: epochs or a relation GCN without a network, or a relation GCN without epochs.
    """
    if features is not None and epochs:
        raise ValueError(
            f"epochs is {epochs}, but a run with data.features has no network to train: leave "
            "epochs out"
        )
    if features is not None and use_gcn:
        raise ValueError(
            "use_gcn needs a network, and a run with data.features has none: leave use_gcn out"
        )
    if use_gcn and not epochs:
        raise ValueError(
            "use_gcn learns from the epochs, and epochs is 0: set use_gcn to false and "
            "cluster.relation to jaccard"
        )
