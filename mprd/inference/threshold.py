"""Suggest the similarity from which two images show one identity, and what to expect of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from mprd.artifacts import FEATURES, GRAPH, INDEX, JUDGEMENTS, read_artifact
from mprd.data.index import split_rows
from mprd.decisions.answers import read_answers
from mprd.errors import UserError, pasted
from mprd.gcn.calibration import at_prior, estimate_prior
from mprd.pipeline.finished import finished_run
from mprd.pipeline.layout import RunLayout
from mprd.system.csr import entry_rows

_SAMPLE, _NEAREST = 1000, 1000  # images; pairs of each: those behind are not the same
_BLOCK = 16


@dataclass(frozen=True)
class Threshold:
    """A similarity, and the pairs at or above it.

    Attributes:
        similarity: cosine of embeddings; NaN: none reaches the precision that was asked for.
        promised: share of these pairs that show one identity; None: nobody judged any.
        found: share of all pairs of one identity that are among them, 0 to 1; None: likewise.
        pairs: number of pairs that were judged, each counted once.
        judge: who says which pairs show one identity.
    """

    similarity: float
    promised: float | None
    found: float | None
    pairs: int
    judge: str


def suggest_threshold(
    similarity: np.ndarray, probability: np.ndarray, precision: float = 0.9
) -> tuple[float, float, float]:
    """Return the smallest similarity from which enough pairs show one identity.

    Args:
        similarity: float (P,), of some pairs.
        probability: float (P,), that each shows one identity: of a relation GCN, or 0 and 1 of a
            person.
        precision: mean probability that the pairs at or above the threshold must have.

    Returns:
        The similarity; the share of pairs of one identity at or above it; and the share of all
        pairs of one identity that is there. NaN, NaN and 0: no similarity reaches the precision.
    """
    order = np.argsort(-similarity, kind="stable")
    sorted_similarity, right = similarity[order], np.cumsum(probability[order])
    promised = right / np.arange(1, len(right) + 1)
    # Pairs of equal similarity are above the threshold together.
    last = np.append(sorted_similarity[1:] < sorted_similarity[:-1], True)[: len(right)]
    good = np.flatnonzero((promised >= precision) & last)
    if not len(good) or right[-1] == 0:
        return float("nan"), float("nan"), 0.0
    at = int(good[-1])
    return float(sorted_similarity[at]), float(promised[at]), float(right[at] / right[-1])


def threshold_of_run(run: Path, precision: float = 0.8, answers: Path | None = None) -> Threshold:
    """Suggest a threshold for the final model of a run.

    Args:
        run: folder of a finished run.
        precision: share of the pairs at or above it that must show one identity.
        answers: CSV of a person's answers on training images; the result holds for pairs like
            these. None: predictions of the relation GCN on the pairs of a sample of 1,000 images,
            at its estimated positive rate; pairs that the graph does not store count as two
            identities. That is the opinion of a network, so no share is promised. A run without
            predictions takes its own `decisions.csv`.

    Raises:
        UserError: the run is not finished; there are no answers, or they cannot be read; without
            answers, a run without predictions of a GCN.
    """
    layout = finished_run(run)
    features = read_artifact(layout.final.features, FEATURES)["features"]
    if answers is None and not layout.final.judgements.is_file() and layout.decisions.is_file():
        answers = layout.decisions
    if answers is not None:
        similarity, probability = _answered(layout, features, answers)
    else:
        similarity, probability = _judged(layout, features)
    least, promised, found = suggest_threshold(similarity, probability, precision)
    if answers is None:
        return Threshold(least, None, None, len(similarity), "the relation GCN")
    return Threshold(least, promised, found, len(similarity), "a person")


def _answered(run: RunLayout, features: np.ndarray, answers: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return similarity and answer, 0 or 1, of the pairs that a person judged."""
    index = read_artifact(run.index, INDEX)
    paths = index["path"][split_rows(index, "train")]
    pairs, same = read_answers(answers, {str(path): n for n, path in enumerate(paths)})
    if not len(pairs):
        raise UserError(
            f"{answers} has no judged pair. Judge some (`mprd answer --run {pasted(run.folder)}`)."
        )
    i, j = pairs.T
    return np.einsum("pd,pd->p", features[i], features[j]), same.astype(np.float64)


def _judged(run: RunLayout, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return similarity and probability of the nearest pairs of a sample of images."""
    final, count = run.final, len(features)
    if not final.judgements.is_file():
        raise UserError(
            f"{run.folder} has no answers yet, and no predictions of the relation GCN. Judge some "
            f"pairs (`mprd answer --run {pasted(run.folder)}`), or set cluster.relation to judged "
            "and run again."
        )
    graph = read_artifact(final.graph, GRAPH, ("indptr", "indices"))
    judgements = torch.from_numpy(read_artifact(final.judgements, JUDGEMENTS)["probability"])
    own = graph["indices"] == entry_rows(graph["indptr"])
    stored = at_prior(judgements, estimate_prior(judgements[~torch.from_numpy(own)])).numpy()
    relation = csr_array((stored, graph["indices"], graph["indptr"]), shape=(count, count))
    sample = np.random.default_rng(0).permutation(count)[:_SAMPLE]
    width = min(_NEAREST, count - 1)
    parts = []
    for rows in np.array_split(sample, max(1, len(sample) // _BLOCK)):
        cosine = features[rows] @ features.T
        cosine[np.arange(len(rows)), rows] = -np.inf
        near = np.argpartition(-cosine, width - 1, axis=1)[:, :width]
        values = (cosine, relation[rows].toarray())
        ends = np.minimum(rows[:, None], near) * count + np.maximum(rows[:, None], near)
        parts.append(
            [ends.ravel(), *(np.take_along_axis(value, near, axis=1).ravel() for value in values)]
        )
    ends, similarity, probability = (np.concatenate(part) for part in zip(*parts, strict=True))
    _, once = np.unique(ends, return_index=True)  # two images of the sample meet twice
    return similarity[once], probability[once]
