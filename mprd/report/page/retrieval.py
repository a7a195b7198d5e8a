"""Ranked lists of the last evaluation."""

import numpy as np

from mprd.artifacts import RANKINGS, Artifact, read_artifact
from mprd.report.page.blocks import Block, Plots, Section, Strip, Strips, Text
from mprd.report.page.pictures import index_picture
from mprd.report.page.plots import lines
from mprd.report.page.run_data import RunData

_TOP = 10
_SHOWN = 3  # queries of a kind


def retrieval(run: RunData) -> Section | None:
    """Return the CMC curve and ranked lists; None: nothing was evaluated."""
    if run.last_evaluation is None:
        return None
    rankings = read_artifact(run.last_evaluation, RANKINGS)
    judged = np.flatnonzero(~np.isnan(rankings["average_precision"]))
    if not len(judged):
        return None
    order = judged[np.argsort(-rankings["average_precision"][judged], kind="stable")]
    middle = len(order) // 2
    blocks: list[Block] = [
        Plots([lines("CMC", *cmc(rankings["first_hit_rank"][judged]), x_label="rank")]),
        Text(
            "Each row: a query, and the ten gallery images most similar to it by the final model."
        ),
        _lists(run, rankings, "Best queries", order[:_SHOWN]),
        _lists(run, rankings, "Median queries", order[max(0, middle - 1) : middle + 2]),
        _lists(run, rankings, "Worst queries", order[::-1][:_SHOWN]),
    ]
    return Section(
        "retrieval",
        "Retrieval",
        "As usual, images of the query's identity from its own camera do not count. Green frame: "
        "the query's identity. Red frame: another identity.",
        blocks,
    )


def cmc(first_hit_rank: np.ndarray, most: int = 50) -> tuple[list[int], dict[str, list[float]]]:
    """Return ranks and, by name, the share of queries with a hit up to each rank.

    Args:
        first_hit_rank: int (Q,), 1-based; 0: no match.
        most: last rank.
    """
    ranks = np.arange(1, most + 1)
    hit = np.where(first_hit_rank > 0, first_hit_rank, most + 1)
    share = np.searchsorted(np.sort(hit), ranks, side="right") / max(len(hit), 1)
    return ranks.tolist(), {"share of queries": share.tolist()}


def _lists(run: RunData, rankings: Artifact, title: str, queries: np.ndarray) -> Strips:
    return Strips(title, [_list(run, rankings, int(query)) for query in queries])


def _list(run: RunData, rankings: Artifact, query: int) -> Strip:
    row = int(rankings["query_row"][query])
    identity = run.index["identity"]
    pictures = [index_picture(run, row, "query", "query")]
    found = rankings["gallery_row"][query, :_TOP]
    for rank, other in enumerate(found[found >= 0].tolist(), start=1):
        mark = "right" if identity[other] == identity[row] else "wrong"
        pictures.append(index_picture(run, other, str(rank), mark))
    return Strip(f"AP {100 * rankings['average_precision'][query]:.0f} %", pictures)
