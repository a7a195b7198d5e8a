"""How the training went."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from bokeh.plotting import figure

from mprd.artifacts import read_json
from mprd.clustering.health import stability
from mprd.report.page.blocks import Plots, Section
from mprd.report.page.plots import lines
from mprd.report.page.run_data import RunData

# Title of a plot -> name of a curve -> column of metrics.csv.
_CURVES = {
    "retrieval": {"mAP": "mAP", "rank-1": "rank1", "rank-5": "rank5", "rank-10": "rank10"},
    "retrieval, with times at search": {"mAP": "mAP_time", "rank-1": "rank1_time"},
    "clusters": {"clusters": "clusters", "outliers": "outliers"},
    "agreement with the identities": {
        "NMI": "nmi",
        "pair precision": "pair_precision",
        "pair recall": "pair_recall",
        "recall across cameras": "cross_recall",
    },
}
_HEALTH = {"self-agreement": "health", "found": "confident", "cohesion": "cohesion"}
_LOSSES = {
    "total": "loss",
    "cluster contrast": "cluster_contrast_loss",
    "HSD": "hsd_loss",
    "PPA": "ppa_loss",
}


def training(run: RunData) -> Section | None:
    """Return curves over the epochs; None: the run trains nothing."""
    if not run.config.epochs:
        return None
    return Section(
        "training",
        "Training",
        "Each epoch clusters first, then trains on these clusters. Click a name in the "
        "legend to hide its curve.",
        (Plots(list(_plots(run))),),
    )


def _plots(run: RunData) -> Iterator[figure]:
    numbers = run.epochs["epoch"].tolist()
    yield lines("loss", numbers, _losses(run, numbers))
    for title, columns in _CURVES.items():
        curves = _known(run.epochs, columns)
        if curves:
            yield lines(title, numbers, curves)
    health = _known(run.epochs, _HEALTH)
    labels = [run.labels_of(number) for number in numbers]
    pairs = zip(labels[1:], labels[:-1], strict=True)
    steady = [float("nan")] + [stability(now, before) for now, before in pairs]
    yield lines("clusters, without identities", numbers, health | {"as before": steady})


def _losses(run: RunData, numbers: list[int]) -> dict[str, list[float]]:
    shown = _known(pd.DataFrame([_metrics(run, number) for number in numbers]), _LOSSES)
    # Without HSD and PPA the total is the contrast, and says it all.
    return shown if "PPA" in shown or run.config.train.use_hsd else {"contrast": shown["total"]}


def _metrics(run: RunData, epoch: int) -> dict[str, Any]:
    report = read_json(run.layout.epoch(epoch).metrics, "mprd.metrics", "train")
    if not run.config.train.use_hsd and "hsd_loss" in report:  # so older files call it
        report["cluster_contrast_loss"] = report.pop("hsd_loss")
    return report


def _known(table: pd.DataFrame, columns: dict[str, str]) -> dict[str, list[float]]:
    """Return the curves of which a value is known."""
    return {
        name: table[column].astype(float).tolist()
        for name, column in columns.items()
        if column in table and table[column].notna().any()
    }
