"""The command that shows all clusters of a run, to put them right."""

from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import RESULTS_PANEL, WhoOption, app
from mprd.errors import many, say


@app.command(rich_help_panel=RESULTS_PANEL)
def browse(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    who: WhoOption = "",
) -> None:
    """Look at all clusters on a local page, and put them right.

    Merge, split, move, name and confirm by mouse and keys; undo and redo without end. Decisions go
    to decisions.csv of the run. `mprd apply`, or the button of the page, lets them hold in
    final/clusters.csv.

    Example: mprd browse results/crops
    """
    from mprd.browsing.desk import Desk
    from mprd.browsing.server import BrowseServer
    from mprd.cli.pages import show_page
    from mprd.decisions.log import in_effect
    from mprd.decisions.reading import unapplied
    from mprd.report.next_step import apply_next
    from mprd.stages.apply import apply_decisions

    desk = Desk(run, lambda: apply_decisions(run).words(), who)
    for note in desk.log.notes:
        say(f"note: {note}")
    clusters = len(desk.board.known)
    show_page(
        lambda free: BrowseServer(desk, free),
        port,
        many(clusters, "cluster"),
        desk.run.layout.folder,
        browser=browser,
    )
    entries = desk.log.entries
    say(f"{many(len(in_effect(entries)), 'decision')} in {desk.log.path}")
    if unapplied(entries, desk.run.layout.final.clusters):
        say(apply_next(run))
