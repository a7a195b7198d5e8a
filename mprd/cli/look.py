"""Commands that look into what a run has left."""

import json
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from mprd.cli.app import RESULTS_PANEL, START_PANEL, app
from mprd.errors import UserError, say
from mprd.pipeline.layout import run_of

_OF_THE_RUN = Path("(the config of the run)")
_KINDS = (".h5", ".safetensors", ".json", ".csv", ".pt")


@app.command(rich_help_panel=RESULTS_PANEL)
def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(help="Artifacts: HDF5, safetensors, JSON, CSV, state.pt; folders."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    cluster: Annotated[
        int | None,
        typer.Option(help="Of a clusters.h5: list the images of a cluster (-1: outliers)."),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(help="Of a relations.h5 or judgements.h5: list the pairs of an image."),
    ] = None,
    tensors: Annotated[bool, typer.Option(help="Of a network: list every tensor.")] = False,
) -> None:
    """Print what artifacts hold, and check them.

    Example: mprd inspect results/demo/final/clusters.h5 --cluster 12
    """
    from mprd.report.inspect.describe import describe
    from mprd.report.inspect.lookup import cluster_table, pair_table
    from mprd.report.inspect.show import show, show_rows

    if cluster is not None or image is not None:
        if len(files) != 1 or (cluster is not None and image is not None):
            raise UserError("Give one file with either --cluster or --image.")
        table = (
            cluster_table(files[0], cluster)
            if cluster is not None
            else pair_table(files[0], str(image))
        )
        if as_json:
            print(table.to_json(orient="records", indent=2))
        else:
            show_rows(table)
        return
    found = [describe(path, tensors=tensors) for path in _expanded(files)]
    if as_json:
        reports = [one.as_json() for one in found]
        print(json.dumps(reports if len(reports) > 1 else reports[0], indent=2))
    else:
        for one in found:
            show(one)


class _Status(TyperCommand):
    """`--stale` may stand without a config: then it is that of the run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command line."""
        words = []
        for word, following in zip_longest(args, args[1:], fillvalue="-"):
            words.append(word)
            if word == "--stale" and (following.startswith("-") or Path(following).is_dir()):
                words.append(str(_OF_THE_RUN))
        return super().parse_args(ctx, words)


@app.command(rich_help_panel=START_PANEL, cls=_Status)
def status(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    stale: Annotated[
        Path | None,
        typer.Option(
            metavar="[CONFIG]",
            help="Tell which files a config makes out of date, and why. Default: that of the run.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell how far a run is, and the time left.

    Example: mprd status results/demo --stale config/config.yaml
    """
    from dataclasses import asdict

    from mprd.report.status import run_status, show_status

    found = run_status(run)
    old = None if stale is None else _stale(stale, run)
    if as_json:
        print(json.dumps(asdict(found) | ({} if old is None else {"stale": old}), indent=2))
    else:
        show_status(found, old)


def _stale(file: Path, folder: Path) -> dict[str, str]:
    """Return the files of a run that a config makes out of date, and why."""
    from mprd.artifacts.files import file_digest
    from mprd.cli.redo import stale_because
    from mprd.config import Run, expand_runs, load_config, read_yaml
    from mprd.data.datasets.fingerprint import data_fingerprint
    from mprd.pipeline.plan import RunPlan
    from mprd.pipeline.registry import check_names

    if file == _OF_THE_RUN:
        config = load_config(run_of(folder).config)
        place = folder.resolve() if folder.name in ("", "..") else folder
        here = config.model_copy(update={"results": place.parent})
        check_names(here)
        run = Run(place.name, "", here.seed, here)
        return stale_because(RunPlan(run, data_fingerprint, file_digest))
    for run in expand_runs(read_yaml(file), str(file)):
        if (run.config.results / run.name).resolve() == folder.resolve():
            check_names(run.config)
            return stale_because(RunPlan(run, data_fingerprint, file_digest))
    raise UserError(
        f"{file} makes no file in {folder}: it has other runs, or another results folder (it is "
        "read as by a run started here)."
    )


@app.command(rich_help_panel=RESULTS_PANEL)
def diff(
    a: Annotated[
        Path,
        typer.Argument(help="Folder of a run or an epoch, clusters.h5, or a table path,cluster."),
    ],
    b: Annotated[Path, typer.Argument(help="Another of the same images.")],
    csv: Annotated[
        Path | None, typer.Option(help="CSV to write: path, cluster_a, cluster_b, moved.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what became of clusters.

    Merged, split, dissolved, new, and images that moved; pair precision and recall, and the
    adjusted Rand index. Of a run its final clusters count. Images that only one has are left out.

    Example: mprd diff results/a results/b --csv changes.csv
    """
    from dataclasses import asdict

    from mprd.report.inspect.clustering import read_clustering
    from mprd.report.inspect.difference import compare_clusterings, write_changes
    from mprd.report.inspect.show import show_difference

    one, other = map(read_clustering, (a, b))
    found = compare_clusterings(one, other)
    if csv is not None:
        write_changes(one, other, csv)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
    else:
        show_difference(found, one.source, other.source)


@app.command(rich_help_panel=RESULTS_PANEL)
def recluster(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    threshold: Annotated[
        float | None,
        typer.Option(help="Largest mean distance of two clusters that are joined, below 1."),
    ] = None,
    finer: Annotated[bool, typer.Option("--finer", help="About 1.3 times as many.")] = False,
    coarser: Annotated[bool, typer.Option("--coarser", help="About 0.77 times as many.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="CSV to write. Default: clusters_finer.csv, clusters_coarser.csv or "
            "clusters_<threshold>.csv in the run's folder final."
        ),
    ] = None,
) -> None:
    """Cut the clusters of a run elsewhere: more and smaller, or fewer and larger ones.

    For runs with cluster.method: linkage. Nothing is computed again, so this takes a second. The
    run's own files stay as they are, unless --out names one.

    Example: mprd recluster results/crops --finer
    """
    from mprd.clustering.cuts import Direction
    from mprd.stages.recluster import cut_elsewhere

    cuts = [threshold, Direction.FINER if finer else None, Direction.COARSER if coarser else None]
    given = [cut for cut in cuts if cut is not None]
    if len(given) != 1:
        raise UserError("Give one of --threshold, --finer and --coarser.")
    found = cut_elsewhere(run=run, cut=given[0], out=out)
    say(found.before, f"{found.after}: {found.out}")
    if found.same:
        print("note: the clusters are the same.")


def _expanded(paths: list[Path]) -> list[Path]:
    """Return files as given, and of folders the artifacts in them."""
    files: list[Path] = []
    for path in paths:
        inside = sorted(
            p
            for p in path.rglob("*")
            if p.suffix in _KINDS and p.is_file() and p.parent.name != "provenance"
        )
        if path.is_dir() and not inside:
            raise UserError(f"{path} holds no artifact.")
        files += inside if path.is_dir() else [path]
    return files
