"""The command by which new images come to a finished run."""

from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import RESULTS_PANEL, OwnDeviceOption, app
from mprd.cli.use import FeaturesOption, SkipOption
from mprd.errors import UserError, many, pasted, say


@app.command(rich_help_panel=RESULTS_PANEL)
def add(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Image files, folders, or manifests (.csv, .parquet) with camera, time and side."
        ),
    ] = None,
    skip_unreadable: SkipOption = False,
    features: FeaturesOption = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back the images of the last `mprd add`.")
    ] = False,
    device: OwnDeviceOption = None,
) -> None:
    """Add new images to the clusters of a finished run, and keep all decisions.

    Clusters keep number and name. Images of nobody known form new clusters among themselves, with
    new numbers. `mprd browse` shows the new images to be confirmed. Nothing is trained, and the
    images of the run stay where they are. Without images, those that you added before are assigned
    to the clusters of today.

    Example: mprd add results/crops new/
    """
    from mprd.stages.add import add_images, undo_added

    if undo:
        if images or features:
            raise UserError("--undo takes back the last images: name no others.")
        gone, left = undo_added(run)
        say(f"{many(gone, 'added image')} taken back, {left:,} that came before stay.")
        return
    if features is not None and skip_unreadable:
        raise UserError("--features reads no image: leave --skip-unreadable out.")
    done = add_images(
        run, images or [], skip_unreadable=skip_unreadable, features=features, device=device
    )
    for note in done.notes:
        say(f"note: {note}")
    say(done.words())
    if done.new:
        say(f"Next, look at them and confirm: mprd browse {pasted(run)}")
