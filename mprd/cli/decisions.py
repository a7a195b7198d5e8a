"""`mprd decisions`: what people decided about the images of a run, and taking it back."""

from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import RESULTS_PANEL, WhoOption, app
from mprd.errors import many, pasted, say


@app.command(rich_help_panel=RESULTS_PANEL)
def decisions(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    undo: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Number of an entry to take back; may be given several times."),
    ] = None,
    who: WhoOption = "",
) -> None:
    """List the decisions of a run, or take some back.

    An undo is an entry, too: take it back, and the decision holds again. After an undo,
    `mprd apply` makes the clusters again.

    Example: mprd decisions results/crops --undo 23
    """
    from mprd.decisions.facts import facts_of
    from mprd.decisions.log import DecisionLog, holding, in_effect
    from mprd.decisions.reading import unapplied
    from mprd.pipeline.layout import run_of
    from mprd.report.next_step import apply_next

    layout = run_of(run)
    if not layout.decisions.is_file():
        folder = pasted(run)
        say(f"{run} has no decisions yet: mprd browse {folder}, or mprd answer --run {folder}")
        return
    log = DecisionLog(layout.decisions, who=who)
    for note in log.notes:
        say(f"note: {note}")
    for entry in undo or ():
        taken = log.undo(entry)
        say(f"entry {entry} does not hold any more" if taken is None else taken.words())
    entries = log.entries
    held = {one.entry for one in holding(entries)}
    if not undo:
        for one in entries:
            say(one.words() + ("" if one.entry in held else " (taken back)"))
    contradictions = facts_of(in_effect(entries)).contradictions
    for clash in contradictions:
        say(f"contradiction: {clash.words()}")
    say(f"{many(len(in_effect(entries)), 'decision')} in effect")
    if contradictions:
        say("Take one of each contradiction back with --undo.")
    elif unapplied(entries, layout.final.clusters):
        say(apply_next(run))
