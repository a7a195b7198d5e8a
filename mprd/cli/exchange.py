"""Commands that take identities to other programs, and back."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import RESULTS_PANEL, WhoOption, app
from mprd.errors import UserError, many, pasted, say


class Format(StrEnum):
    """What other programs read."""

    FOLDERS = "folders"
    CSV = "csv"
    COCO = "coco"
    FIFTYONE = "fiftyone"
    WILDBOOK = "wildbook"
    CAMTRAP = "camtrap-dp"
    BOXMOT = "boxmot"


@app.command(rich_help_panel=RESULTS_PANEL)
def export_to(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    format: Annotated[Format, typer.Argument(help="What to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write into; made if it is not there.")],
    copy: Annotated[
        bool, typer.Option("--copy", help="With folders: copies of the images, not links.")
    ] = False,
) -> None:
    """Take the identities of a run, or its network, to other programs.

    An identity has the name that you gave it, else that of its cluster. Decisions count once they
    are applied (`mprd apply`). The format boxmot is no list of identities: it writes the weights of
    an OSNet for BoxMOT.

    Example: mprd export-to results/crops folders --out people
    """
    from mprd.exchange import documents, folders, tables
    from mprd.exchange.filling import filling
    from mprd.exchange.identified import identified

    if copy and format is not Format.FOLDERS:
        raise UserError("--copy goes with folders only: other formats hold no images.")
    found = None if format is Format.BOXMOT else identified(run)
    if found is None:
        from mprd.exchange.boxmot import write_boxmot

        with filling(out) as inside:
            said = write_boxmot(run, inside)
        say(f"{out}: {said}")
        return
    writers = {
        Format.CSV: tables.write_csv,
        Format.COCO: documents.write_coco,
        Format.FIFTYONE: documents.write_fiftyone,
        Format.WILDBOOK: tables.write_wildbook,
        Format.CAMTRAP: tables.write_camtrap,
    }
    with filling(out) as inside:
        if format is Format.FOLDERS:
            said = folders.write_folders(found, inside, copy=copy)
        else:
            said = writers[format](found, inside)
    known = sum(one.identity != "" for one in found.sightings)
    say(
        f"{out}: {many(len(found.identities), 'identity', 'identities')}, "
        f"{known:,} of {many(len(found.sightings), 'image')}"
    )
    say(f"  {said}")
    if found.waiting:
        say(
            f"note: {many(found.waiting, 'decision is', 'decisions are')} not applied yet: mprd "
            f"apply {pasted(run)}"
        )


@app.command("import", rich_help_panel=RESULTS_PANEL)
def import_(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    table: Annotated[Path, typer.Argument(help="CSV with the columns path and identity.")],
    who: WhoOption = "",
) -> None:
    """Take identities that were given elsewhere as decisions.

    Images of one identity become one, with its name; images of different identities are parted.
    Images without an identity stay as they are. `mprd apply` then lets this hold in the clusters.

    Example: mprd import results/crops identities.csv
    """
    from mprd.exchange.given import import_identities
    from mprd.report.next_step import apply_next

    done = import_identities(run, table, who)
    say(
        f"{many(done.identities, 'identity', 'identities')} of {many(done.images, 'image')}: "
        f"{many(done.decisions, 'decision')} in {done.log}"
    )
    if done.missing:
        say(f"note: left out {many(done.missing, 'image')} of {table} not in this run.")
    if done.decisions:
        say(apply_next(run))
