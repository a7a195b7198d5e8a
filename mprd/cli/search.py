"""The command that finds images like others."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import USE_PANEL, DeviceOption, PluginOption, app
from mprd.cli.images import (
    FeaturesOption,
    HtmlOption,
    JsonOption,
    SkipOption,
    SomeImages,
    TimesOption,
    require_model,
)
from mprd.cli.pages import require_files, write_page
from mprd.errors import say

PlacesOption = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        help="CSV or Parquet with path, camera, time or frame, track and side of images.",
    ),
]
_SPAN = "Date (ISO 8601, UTC without a zone), time of day, or number in the run's unit."


@app.command(rich_help_panel=USE_PANEL)
def search(
    gallery: Annotated[
        Path, typer.Option(help="Folder of images, .h5 of `mprd embed`, or embeddings.h5 of a run.")
    ],
    queries: SomeImages = None,
    model: Annotated[Path | None, typer.Option(help="model.safetensors of a run.")] = None,
    k: Annotated[int, typer.Option("--top", "-k", min=1, help="Matches per query.")] = 10,
    at_least: Annotated[
        float,
        typer.Option(
            min=-1, max=1, help="Hide matches below this similarity; see `mprd threshold`."
        ),
    ] = -1.0,
    query_camera: Annotated[
        list[str] | None, typer.Option(help="Only queries of this camera. May be repeated.")
    ] = None,
    query_after: Annotated[str, typer.Option(help=f"Only queries from then on. {_SPAN}")] = "",
    query_before: Annotated[str, typer.Option(help="Only queries before then.")] = "",
    camera: Annotated[
        list[str] | None, typer.Option(help="Only matches of this camera. May be repeated.")
    ] = None,
    after: Annotated[str, typer.Option(help=f"Only matches from then on. {_SPAN}")] = "",
    before: Annotated[str, typer.Option(help="Only matches before then.")] = "",
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option(help="CSV to write.")] = None,
    html: HtmlOption = None,
    times: TimesOption = False,
    manifest: PlacesOption = None,
    skip_unreadable: SkipOption = False,
    features: FeaturesOption = None,
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
) -> None:
    """Find the gallery images that are most similar to each query.

    This compares plain embeddings, as the evaluation does. `mprd assign` first removes what the
    images of a camera share, as the clustering of the run does.

    With --times, similarities are corrected by what the times of query and match say. A query
    without a time, or of a camera that the run does not know, is compared by appearance only. The
    model must lie in the folder of its run.

    A model in the folder of its run also tells camera, time, track and side of images, as the run
    lists them or its patterns find them in paths. Queries and matches can be chosen by camera and
    time. A right flank is no match for a left one.

    Example: mprd search q.jpg --model M.safetensors --gallery crops/ --html found.html

    Example: mprd search crops/ --query-camera A --camera B --after 14:00 --before 15:00 --model M
    --gallery crops/
    """
    from mprd.inference.find import Where, find_images

    require_model(features, skip_unreadable)
    result = find_images(
        model,
        queries or [],
        gallery,
        k,
        times=times,
        manifest=manifest,
        query_where=Where(tuple(query_camera or ()), query_after, query_before),
        gallery_where=Where(tuple(camera or ()), after, before),
        skip_unreadable=skip_unreadable,
        features=features,
        device=device,
    )
    if html is not None:
        from mprd.report.page.search_page import search_page

        require_files(result.queries + result.gallery)
        write_page(search_page(result, at_least), html)
    if out is not None:
        from mprd.inference.match_table import write_matches

        count = write_matches(result, out, at_least)
        say(f"{count:,} matches of {len(result.queries):,} queries: {out}", file=sys.stderr)
        return
    found = result.matches(at_least)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for query, matches in found.items():
        say(query)
        if not matches:
            say(f"  no match of {at_least:g} or more")
        for match in matches:
            said = f"{match['evidence']:+.1f}  " if times else ""
            known = [match[key] for key in ("camera", "time", "track", "side") if match.get(key)]
            place = f"  ({', '.join(known)})" if known else ""
            say(f"  {match['similarity']:.3f}  {said}{match['path']}{place}")
