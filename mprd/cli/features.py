"""The command that clusters features of any network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mprd.cli.app import USE_PANEL, OwnDeviceOption, ThreadsOption, app
from mprd.errors import UserError, many, say
from mprd.system.threads import worker_count

if TYPE_CHECKING:
    import numpy as np

    from mprd.config import Config


@app.command(rich_help_panel=USE_PANEL)
def cluster_features(
    features: Annotated[Path, typer.Argument(help=".npy, .safetensors or HDF5 with `features`.")],
    out: Annotated[
        Path, typer.Option(help="CSV to write: path (if known, else row), cluster, doubt.")
    ],
    per_identity: Annotated[
        int | None,
        typer.Option(help="About how many images an identity has. Default: 10.", min=2, max=1000),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Lower: more and purer clusters. Above 0, below 1. Default: 0.75."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML whose graph and cluster are used, in place of these defaults."),
    ] = None,
    cameras: Annotated[
        Path | None, typer.Option(help=".npy of integers: the camera of each row, -1 unknown.")
    ] = None,
    device: OwnDeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Cluster the features of any network.

    Without --config it uses average linkage; with --cameras it first removes what the images of a
    camera share.

    Example: mprd cluster-features features.npy --out clusters.csv
    """
    import pandas as pd

    from mprd.artifacts import atomic
    from mprd.artifacts.csv_rows import for_pandas
    from mprd.clustering.from_features import cluster_features
    from mprd.clustering.membership import doubt_rank
    from mprd.inference.feature_files import image_names, read_array

    array = read_array(features)
    where = None if cameras is None else _integers(cameras)
    if where is not None and array.ndim == 2 and len(where) != len(array):
        raise UserError(
            f"{cameras} has {len(where):,} cameras, {features} has {many(len(array), 'row')}. "
            "Give one camera for each row, -1 where it is unknown."
        )
    settings = _settings(config, per_identity, threshold, where)
    if device is not None:
        settings = settings.model_copy(update={"device": device})
    found = cluster_features(array, settings, where, worker_count(threads))
    names = image_names(features, len(array))
    first = {"row": range(len(found.labels))} if names is None else {"path": names}
    doubt = pd.Series(doubt_rank(found.membership, found.labels), dtype="Int64")
    table = pd.DataFrame({**first, "cluster": found.labels, "doubt": doubt.mask(found.labels < 0)})
    with atomic(out, lock=False) as temporary:
        table.to_csv(for_pandas(temporary), index=False)
    say(
        f"{many(found.labels.max() + 1, 'cluster')}, "
        f"{many((found.labels < 0).sum(), 'outlier')} of "
        f"{len(found.labels)}: {out}"
    )


def _settings(
    config: Path | None,
    per_identity: int | None,
    threshold: float | None,
    cameras: "np.ndarray | None",
) -> "Config":
    """Return those of a config, or those for features that are not trained further."""
    from mprd.clustering.from_features import PER_IDENTITY, THRESHOLD, features_config
    from mprd.config import load_config

    if config is not None:
        for name, value in (("--per-identity", per_identity), ("--threshold", threshold)):
            if value is not None:
                raise UserError(f"{name} changes the defaults, which --config replaces: give one.")
        return load_config(config)
    if threshold is not None and not 0 < threshold < 1:
        raise UserError(f"--threshold must be above 0 and below 1, not {threshold:g}.")
    known = set() if cameras is None else set(cameras[cameras >= 0].tolist())
    return features_config(
        per_identity or PER_IDENTITY, threshold or THRESHOLD, several_cameras=len(known) > 1
    )


def _integers(path: Path) -> "np.ndarray":
    import numpy as np

    from mprd.inference.feature_files import read_array

    values = read_array(path)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise UserError(f"{path} must hold whole numbers (N,), not {values.dtype} {values.shape}.")
    return values
