"""Print how far a run is."""

from rich.console import Console
from rich.table import Table

from mprd.report.status import EpochStatus, RunStatus

_NAMES = {"initial_model": "init", "initial_gcn": "relation GCN"}


def show_status(found: RunStatus, stale: dict[str, str] | None) -> None:
    """Print epochs, what is missing, and the time left.

    Args:
        found: the run.
        stale: files that would be made again, and why; None: not asked for.
    """
    console = Console(width=None if Console().is_terminal else 100)
    total = len(found.epochs)
    console.print(f"{found.name}: {found.done} of {total} epochs done", highlight=False)
    if found.start:
        console.print(f"before epoch 1, missing: {_named(found.start)}")
    under_way = None if found.start else found.done + 1
    begun = [e for e in found.epochs if e.loss is not None or e.number == under_way]
    if begun:
        console.print(_table(begun))
    if found.done < total and found.seconds_left is not None:
        console.print(f"about {_words(found.seconds_left)} left for the other epochs")
    if found.done == total and found.end:
        console.print(f"at the end, missing: {_named(found.end)}")
    if found.done == total and not found.start and not found.end:
        console.print("finished")
    if stale is not None:
        console.print(f"stale: {len(stale) or 'nothing'}")
        for path, why in stale.items():
            console.print(f"  {path}: {why}", highlight=False, markup=False)


def _table(epochs: list[EpochStatus]) -> Table:
    grid = Table()
    for column in ("epoch", "loss", "mAP", "rank-1", "missing"):
        grid.add_column(column, justify="left" if column == "missing" else "right")
    for epoch in epochs:
        loss = "" if epoch.loss is None else f"{epoch.loss:.3f}"
        figures = (
            f"{100 * epoch.figures[key]:.1f}" if key in epoch.figures else ""
            for key in ("mAP", "rank1")
        )
        grid.add_row(str(epoch.number), loss, *figures, _named(epoch.missing))
    return grid


def _named(roles: tuple[str, ...]) -> str:
    return ", ".join(_NAMES.get(role, role) for role in roles)


def _words(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(1, minutes)} min"
