"""The top of the page: what was found, and what to do next."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mprd.errors import many
from mprd.judging.audit_beside import beside_words
from mprd.judging.audit_file import audit_words
from mprd.report.next_step import better_start, next_step
from mprd.report.page.blocks import Block, Command, Lead, Section, Strip, Text
from mprd.report.page.pictures import train_picture
from mprd.report.page.run_data import RunData

_SHOWN = 12  # clusters


def found(run: RunData) -> Section:
    """Return the result in a sentence and in pictures, and the next useful command."""
    blocks: list[Block] = [
        Lead(" ".join(filter(None, (_clusters(run), _training(run), _figures(run))))),
        Text(f"Clusters: {audit_words(run.layout)}."),
    ]
    beside = beside_words(run.layout)
    blocks += [Text(f"Two clusterings: {beside}.")] if beside is not None else []
    labelled = bool((run.identity >= 0).any())
    blocks += map(Text, filter(None, ["" if labelled else better_start(run.layout)]))
    blocks.append(Command(*next_step(run.layout, labelled=labelled)))
    if run.labels.max(initial=-1) >= 0:
        blocks.append(_examples(run))
    return Section("found", "What was found", blocks=blocks)


def _clusters(run: RunData) -> str:
    labels = run.labels
    inside, count = int((labels >= 0).sum()), int(labels.max(initial=-1)) + 1
    if not count:
        return f"No clusters: all {many(len(labels), 'image')} are outliers."
    hold = "hold" if count > 1 else "holds"
    return (
        f"{many(count, 'cluster')} {hold} {inside:,} of {many(len(labels), 'image')}; "
        f"{many(len(labels) - inside, 'is an outlier', 'are outliers')}."
    )


def _training(run: RunData) -> str:
    if run.config.epochs:
        return f"The model was trained for {many(run.config.epochs, 'epoch')}."
    return "These are the clusters of the start features: nothing was trained."


def _figures(run: RunData) -> str:
    """Return what identities say, as far as some are known."""
    last, pair = run.last, float(run.clusters.attributes["pair_f1"])
    words = [
        f"{name} {100 * last[key]:.1f}"
        for name, key in (("mAP", "mAP"), ("rank-1", "rank1"))
        if pd.notna(last[key])
    ]
    if not np.isnan(pair):
        words.append(f"pair F1 {pair:.2f}")
    return f"By the known identities: {', '.join(words)}." if words else ""


def _examples(run: RunData) -> Strip:
    """Return the surest image of each of the largest clusters."""
    labels, trust = run.labels, run.clusters["membership"]
    sizes = np.bincount(labels[labels >= 0])
    pictures = []
    for label in np.argsort(-sizes, kind="stable")[:_SHOWN].tolist():
        members = np.flatnonzero(labels == label)
        surest = int(members[np.argmax(trust[members])])
        note = f"cluster {run.number(label)}, {many(int(sizes[label]), 'image')}"
        pictures.append(replace(train_picture(run, surest, note), camera=-1))
    some = f"the {_SHOWN} largest clusters" if len(sizes) > _SHOWN else "each cluster"
    return Strip(f"The most typical image of {some}", pictures)
