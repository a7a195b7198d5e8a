"""The columns of `metrics.csv` and `summary.csv`: each declared once."""

from dataclasses import dataclass
from enum import Enum, auto


class Source(Enum):
    """Where a figure of an epoch comes from."""

    EVALUATION = auto()  # the figures of an evaluation
    CLUSTERS = auto()  # the attributes of `clusters.h5`
    METRICS = auto()  # the report of the training
    RELATIONS = auto()  # the relation GCN's part of it (`use_gcn`)


class Format(Enum):
    """How a figure is printed."""

    COUNT = auto()
    PERCENT = auto()
    SHARE = auto()


@dataclass(frozen=True)
class Column:
    """One figure.

    Attributes:
        name: of the column in the CSV file.
        source: where it comes from.
        key: its name there.
        title: in printed tables; empty: not printed.
        format: in printed tables.
        in_summary: printed in a summary of several runs, too, whose cells are wider.
        averaged: in a summary it is the mean over all epochs, else the last epoch's.
    """

    name: str
    source: Source
    key: str
    title: str = ""
    format: Format = Format.SHARE
    in_summary: bool = True
    averaged: bool = False


COLUMNS = (
    Column("clusters", Source.CLUSTERS, "num_clusters", "clusters", Format.COUNT),
    Column("outliers", Source.CLUSTERS, "num_outliers", "outliers", Format.COUNT, False),
    Column("eps", Source.CLUSTERS, "eps"),
    Column("gamma", Source.CLUSTERS, "gamma"),
    Column("confident", Source.CLUSTERS, "confident_together"),
    Column("cohesion", Source.CLUSTERS, "cohesion"),
    Column("health", Source.CLUSTERS, "health", "health"),
    Column("loss", Source.METRICS, "loss", "loss", in_summary=False),
    Column("mAP", Source.EVALUATION, "mAP", "mAP", Format.PERCENT),
    Column("rank1", Source.EVALUATION, "rank1", "rank-1", Format.PERCENT),
    Column("rank5", Source.EVALUATION, "rank5", "rank-5", Format.PERCENT, False),
    Column("rank10", Source.EVALUATION, "rank10", "rank-10", Format.PERCENT, False),
    Column("mINP", Source.EVALUATION, "mINP", format=Format.PERCENT),
    Column("nmi", Source.CLUSTERS, "nmi", "NMI"),
    Column("ari", Source.CLUSTERS, "ari"),
    Column("pair_precision", Source.CLUSTERS, "pair_precision", "pair prec."),
    Column("pair_recall", Source.CLUSTERS, "pair_recall", "pair recall", in_summary=False),
    Column("cross_recall", Source.CLUSTERS, "cross_recall", "cross rec."),
    # Shares of judged hard pairs that are right, before and after the relation filter. The filter
    # matters most in early epochs.
    Column("accepted", Source.RELATIONS, "positive_acceptance", averaged=True),
    Column("pos_prec", Source.RELATIONS, "positive_precision", "pos. prec.", averaged=True),
    Column("pos_prec_kept", Source.RELATIONS, "positive_precision_kept", "kept", averaged=True),
    Column("neg_prec", Source.RELATIONS, "negative_precision", "neg. prec.", averaged=True),
    Column("neg_prec_kept", Source.RELATIONS, "negative_precision_kept", "kept ", averaged=True),
)


def names() -> list[str]:
    """Return the names of all columns."""
    return [column.name for column in COLUMNS]


def number(value: float, column: Column) -> str:
    """Return a figure as it is printed."""
    if column.format is Format.COUNT:
        return f"{value:.0f}"
    if column.format is Format.PERCENT:
        return f"{100 * value:.1f}"
    return f"{value:.3f}"
