"""The columns of `metrics.csv` and `summary.csv`: each declared once."""

from dataclasses import dataclass
from enum import Enum, auto


class Source(Enum):
    """Where a metric of an epoch comes from."""

    EVALUATION = auto()  # the metrics of an evaluation
    TIMED = auto()  # those with times at search (`evaluate.time`)
    CLUSTERS = auto()  # the attributes of `clusters.h5`
    METRICS = auto()  # the report of the training
    RELATIONS = auto()  # the relation GCN's part of it (`use_gcn`)


class Format(Enum):
    """How a metric is printed."""

    COUNT = auto()
    PERCENT = auto()
    SHARE = auto()


@dataclass(frozen=True)
class Column:
    """One metric.

    Attributes:
        name: of the column in the CSV file.
        source: where it comes from.
        key: its name there.
        meaning: what it is, for docs/artifacts.md.
        title: in printed tables; empty: not printed.
        format: in printed tables.
        in_summary: printed in a summary of several runs, too, whose cells are wider.
        averaged: in a summary it is the mean over all epochs, else the last epoch's.
    """

    name: str
    source: Source
    key: str
    meaning: str
    title: str = ""
    format: Format = Format.SHARE
    in_summary: bool = True
    averaged: bool = False


COLUMNS = (
    Column(
        "clusters", Source.CLUSTERS, "num_clusters", "number of clusters", "clusters", Format.COUNT
    ),
    Column(
        "outliers",
        Source.CLUSTERS,
        "num_outliers",
        "images in no cluster",
        "outliers",
        Format.COUNT,
        False,
    ),
    Column("eps", Source.CLUSTERS, "eps", "radius used"),
    Column(
        "gamma", Source.CLUSTERS, "gamma", "community: mean relation that a cluster had to reach"
    ),
    Column(
        "confident",
        Source.CLUSTERS,
        "confident_together",
        "share of the mutually nearest pairs of two cameras that are in one cluster",
    ),
    Column(
        "cohesion",
        Source.CLUSTERS,
        "cohesion",
        "mean of 1 - Jaccard distance to the others of the cluster; outliers count 0",
    ),
    Column(
        "health",
        Source.CLUSTERS,
        "health",
        "geometric mean of `confident` and `cohesion`: the fit of clusters to their own distances",
        "self-agreement",
    ),
    Column("loss", Source.METRICS, "loss", "mean training loss", "loss", in_summary=False),
    Column("mAP", Source.EVALUATION, "mAP", "mean average precision", "mAP", Format.PERCENT),
    Column(
        "rank1",
        Source.EVALUATION,
        "rank1",
        "share of queries with a hit at rank 1",
        "rank-1",
        Format.PERCENT,
    ),
    Column(
        "rank5",
        Source.EVALUATION,
        "rank5",
        "share of queries with a hit up to rank 5",
        "rank-5",
        Format.PERCENT,
        False,
    ),
    Column(
        "rank10",
        Source.EVALUATION,
        "rank10",
        "share of queries with a hit up to rank 10",
        "rank-10",
        Format.PERCENT,
        False,
    ),
    Column(
        "mAP_time",
        Source.TIMED,
        "mAP",
        "mean average precision with times at search (`evaluate.time`)",
        "mAP with times",
        Format.PERCENT,
    ),
    Column(
        "rank1_time",
        Source.TIMED,
        "rank1",
        "share of queries with a hit at rank 1, with times at search",
        "rank-1 with times",
        Format.PERCENT,
    ),
    Column(
        "mINP", Source.EVALUATION, "mINP", "mean inverse negative penalty", format=Format.PERCENT
    ),
    Column(
        "nmi",
        Source.CLUSTERS,
        "nmi",
        "normalised mutual information between clusters and identities",
        "NMI",
    ),
    Column("ari", Source.CLUSTERS, "ari", "adjusted Rand index between clusters and identities"),
    Column(
        "pair_precision",
        Source.CLUSTERS,
        "pair_precision",
        "share of the pairs in one cluster that show one identity",
        "pair prec.",
    ),
    Column(
        "pair_recall",
        Source.CLUSTERS,
        "pair_recall",
        "share of the pairs of one identity that are in one cluster",
        "pair recall",
        in_summary=False,
    ),
    Column(
        "cross_recall",
        Source.CLUSTERS,
        "cross_recall",
        "the same for pairs of two cameras",
        "cross rec.",
    ),
    # Shares of judged hard pairs that are right, before and after the relation filter. The filter
    # matters most in early epochs.
    Column(
        "accepted",
        Source.RELATIONS,
        "positive_acceptance",
        "share of the hard positives that the relation GCN keeps",
        averaged=True,
    ),
    Column(
        "pos_prec",
        Source.RELATIONS,
        "positive_precision",
        "share of the predicted hard positives that are right",
        "pos. prec.",
        averaged=True,
    ),
    Column(
        "pos_prec_kept",
        Source.RELATIONS,
        "positive_precision_kept",
        "the same for those that the filter kept",
        "kept",
        averaged=True,
    ),
    Column(
        "neg_prec",
        Source.RELATIONS,
        "negative_precision",
        "share of the predicted hard negatives that are right",
        "neg. prec.",
        averaged=True,
    ),
    Column(
        "neg_prec_kept",
        Source.RELATIONS,
        "negative_precision_kept",
        "the same for those that the filter kept",
        "kept ",
        averaged=True,
    ),
)


def names() -> list[str]:
    """Return the names of all columns."""
    return [column.name for column in COLUMNS]


def number(value: float, column: Column) -> str:
    """Return a metric as it is printed."""
    if column.format is Format.COUNT:
        return f"{value:.0f}"
    if column.format is Format.PERCENT:
        return f"{100 * value:.1f}"
    return f"{value:.3f}"


def markdown() -> str:
    """Return a table of all columns, for docs/artifacts.md."""
    rows = [f"| `{column.name}` | {column.meaning} |" for column in COLUMNS]
    return "\n".join(
        ["| column | meaning |", "|---|---|", "| `model` | baseline, `init`, or epoch |", *rows]
    )
