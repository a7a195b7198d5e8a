"""Commands by which people judge pairs, and let their decisions hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mprd.cli.app import RESULTS_PANEL, OwnDeviceOption, WhoOption, app
from mprd.errors import UserError, many, pasted, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from mprd.judging.session import Asking
    from mprd.pipeline.layout import RunLayout


@app.command(rich_help_panel=RESULTS_PANEL)
def answer(
    run: Annotated[Path, typer.Option(help="Folder of a finished run.")],
    out: Annotated[
        Path | None, typer.Option(help="Log for the answers. Default: decisions.csv of the run.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Largest number of pairs to ask about.")] = 100,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    who: WhoOption = "",
) -> None:
    """Judge pairs on a local page.

    It begins with the pairs whose answer is likely to change most. Answers go to decisions.csv of
    the run. `mprd apply`, or the button at the end of the page, lets them hold in the clusters.

    Example: mprd answer --run results/crops
    """
    from mprd.decisions.log import DecisionLog
    from mprd.judging.questions import Planner
    from mprd.judging.session import Session
    from mprd.pipeline.layout import RunLayout
    from mprd.report.next_step import apply_next
    from mprd.stages.apply import apply_decisions

    layout, planner = RunLayout(run), Planner(run)
    before = layout.folder / "answers.csv" if not out else None
    log = DecisionLog(out or layout.decisions, before, who)
    for note in log.notes:
        say(f"note: {note}")
    session = Session(planner.next(log.path, count), log, lambda n: planner.next(log.path, n))
    if session.current is None:
        say("There is nothing to judge: you answered every pair whose answer changes anything.")
        return
    held = len(log.entries)

    def hold() -> str:
        nonlocal held
        count = len(log.entries)  # what is decided meanwhile does not hold yet
        words, held = apply_decisions(run).words(), count
        return words

    _judge(session, layout, port, browser=browser, apply=None if out else hold)
    if not out and len(log.entries) > held:
        say(apply_next(run))


@app.command(rich_help_panel=RESULTS_PANEL)
def apply(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
) -> None:
    """Let the decisions of a run hold in its final clusters, in seconds.

    Clusters that are one identity are joined, those that are not are parted, and the other images
    are clustered again around them. Numbers and names stay. Nothing is trained.

    Example: mprd apply results/crops
    """
    from mprd.pipeline.layout import run_of
    from mprd.stages.apply import apply_decisions

    if not run_of(run).decisions.is_file():
        raise UserError(f"{run} has no decisions yet. Make some: mprd answer --run {pasted(run)}")
    say(apply_decisions(run).words())


@app.command(rich_help_panel=RESULTS_PANEL)
def audit(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    start: Annotated[
        bool, typer.Option("--start", help="Measure the clusters before training.")
    ] = False,
    beside: Annotated[
        str,
        typer.Option(
            help="Measure other clusters by the same pairs, too, and tell which are better: start "
            "(those before training), the folder of another run, or a table: path, cluster."
        ),
    ] = "",
    count: Annotated[int, typer.Option(min=20, help="Pairs of a new audit.")] = 50,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    device: OwnDeviceOption = None,
) -> None:
    """Measure the clusters: judge pairs that are drawn at random.

    The answers give pair precision and pair recall with 95 % intervals. They stay in audit.csv of
    the run; a second call goes on where you stopped, or tells the result. They only measure: no
    cluster is made from them. `--beside start` tells whether training made the clusters better.

    Example: mprd audit results/crops
    """
    from mprd.artifacts.places import require_writable
    from mprd.judging.audit_beside import beside_words
    from mprd.judging.audit_file import audit_words
    from mprd.judging.audit_session import audit_session, beside_session
    from mprd.pipeline.layout import RunLayout
    from mprd.stages.audited_csv import write_audited_csv

    if start and beside:
        raise UserError("--beside compares the final clusters: leave out --start.")
    layout = RunLayout(run)
    if beside:
        session = beside_session(run, beside, count, device)
    else:
        session = audit_session(run, count, device, start=start)
    if session.current is not None:
        require_writable(session.out.parent)  # before a person judges anything
        if not beside:
            require_writable((layout.start_table if start else layout.final.table).parent)
        _judge(session, layout, port, browser=browser)
    if beside:
        say(f"{run}: {beside_words(layout)}")
        return
    say(f"{run}: {audit_words(layout, start=start)}")
    table = write_audited_csv(layout, start=start)
    if table is not None:
        say(f"clusters with the probability of each image: {table}")


@app.command(rich_help_panel=RESULTS_PANEL)
def count(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    checks: Annotated[
        int, typer.Option(min=15, help="Clusters and outliers to check in a new count.")
    ] = 40,
    side: Annotated[
        str, typer.Option(help="Count only what this side of the animals shows (data.side).")
    ] = "",
) -> None:
    """Estimate how many individuals the images show, with a 95 % interval.

    Names clusters and outliers that are drawn at random: check each of them in `mprd browse`. Split
    off what does not belong, merge what is the same individual, then confirm. A second call tells
    what is left, and at the end the number. It counts what the images show, not what lives there.

    Example: mprd count results/crops
    """
    from mprd.judging.count import begin_count, where_to_look
    from mprd.pipeline.layout import RunLayout

    found = begin_count(run, checks, side)
    say(f"{run}: {found.words()}")
    if found.open:
        say(
            f"Check these in `mprd browse {pasted(run)}` (Filter, Find; outliers have paths): put "
            "each right, merge it with every other cluster of the individual, and confirm it:"
        )
        say(where_to_look(RunLayout(run), found.open))


def _judge(
    session: "Asking",
    layout: "RunLayout",
    port: int,
    *,
    browser: bool,
    apply: "Callable[[], str] | None" = None,
) -> None:
    """Show the pairs of a session on a local page, until Ctrl-C."""
    from mprd.cli.pages import show_page
    from mprd.judging.server import JudgingServer
    from mprd.report.page.thumbnails import Thumbnails

    pictures = Thumbnails(layout.pixels)
    show_page(
        lambda free: JudgingServer(
            session, lambda row: pictures.addresses([row], 512)[row], free, apply
        ),
        port,
        many(len(session.questions), "pair"),
        layout.folder,
        browser=browser,
    )
    say(f"{many(session.answered, 'answer')} in {session.out}")
