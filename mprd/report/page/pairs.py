"""Pairs worth a look: where the relation GCN or the clusters contradict the distance."""

from collections.abc import Iterator

import numpy as np

from mprd.artifacts import RELATIONS, read_artifact
from mprd.report.page.blocks import Picture, Section, Strip, Strips, Text
from mprd.report.page.pictures import train_picture, truth_mark
from mprd.report.page.run_data import RunData
from mprd.system.csr import entry_rows

_SHOWN = 8  # pairs of a kind


def pairs(run: RunData) -> Section:
    """Return pairs that contradict the distance, and hard pairs of the last epoch."""
    known = bool((run.identity >= 0).any())
    frame = (
        " Green frame: right according to the known identities. Red frame: wrong." if known else ""
    )
    blocks = [*_judged(run), *_hard(run), *_clustered(run)]
    return Section(
        "pairs",
        "Pairs worth a look",
        "d is the Jaccard distance. p is the relation GCN's probability of one identity." + frame,
        blocks or (Text("No two images are similar enough to be compared."),),
    )


def _stored(run: RunData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the entries of the stored pairs i < j: position in `data`, i, j."""
    distance = run.distance
    row = entry_rows(distance.indptr)
    entry = np.flatnonzero(row < distance.indices)
    return entry, row[entry], distance.indices[entry]


def _judged(run: RunData) -> Iterator[Strips]:
    p = run.judgements
    if p is None:
        return
    entry, i, j = _stored(run)
    d, p = run.distance.data[entry], p[entry]
    for title, chosen, order in (
        ("The GCN predicts one identity, but the distance is large", p >= 0.5, -d),
        ("The GCN predicts two identities, but the distance is small", p < 0.5, d),
    ):
        at = np.flatnonzero(chosen)
        at = at[np.argsort(order[at], kind="stable")]
        shown = _apart(i, j, at)
        if len(shown):
            claimed = bool(p[shown[0]] >= 0.5)
            notes = [f"d {d[n]:.2f}, p {p[n]:.2f}" for n in shown]
            yield Strips(title, _strips(run, i[shown], j[shown], notes, claimed=claimed))


def _hard(run: RunData) -> Iterator[Strips]:
    path = run.layout.epoch(run.config.epochs).relations
    if not (run.config.use_gcn and path.is_file()):
        return
    hard = read_artifact(path, RELATIONS)
    kinds = {1: "Hard positives", 0: "Hard negatives"}
    for now, name in kinds.items():
        for kept, verb in ((1, "kept"), (0, "rejected")):
            at = np.flatnonzero((hard["now"] == now) & (hard["kept"] == kept))
            at = at[np.argsort(np.abs(hard["probability"][at] - 0.5), kind="stable")]
            shown = _apart(hard["i"], hard["j"], at)
            if len(shown):
                notes = [f"p {hard['probability'][n]:.2f}" for n in shown]
                title = f"{name} of the last epoch that the GCN {verb}"
                i, j = hard["i"][shown], hard["j"][shown]
                yield Strips(title, _strips(run, i, j, notes, claimed=bool(now) == bool(kept)))


def _clustered(run: RunData) -> Iterator[Strips]:
    """Yield the nearest pairs that no cluster holds, and the least similar that one holds."""
    entry, i, j = _stored(run)
    d, labels = run.distance.data[entry], run.labels
    apart = np.flatnonzero((labels[i] != labels[j]) | (labels[i] < 0))
    shown = _apart(i, j, apart[np.argsort(d[apart], kind="stable")])
    if len(shown):
        notes = [f"d {d[n]:.2f}" for n in shown]
        title = "Most similar pairs that do not share a cluster"
        yield Strips(title, _strips(run, i[shown], j[shown], notes, claimed=False))
    i, j, cosine = least_similar_members(run.aligned, labels)
    order = np.argsort(cosine, kind="stable")[:_SHOWN]
    if len(order):
        notes = [f"cosine {cosine[n]:.2f}" for n in order]
        title = "Least similar pairs that share a cluster"
        yield Strips(title, _strips(run, i[order], j[order], notes, claimed=True))


def least_similar_members(
    features: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a pair of each cluster: the member farthest from its mean, and the farthest from that.

    Args:
        features: float32 (N, D), unit rows.
        labels: int (N,), -1 outlier.

    Returns:
        Rows i and j, int64 (K,), and their cosine, float32 (K,); clusters of one image are left
        out.
    """
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] >= 0]
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    found = []
    for members in np.split(order, starts[1:]) if len(order) else []:
        if len(members) > 1:
            vectors = features[members]
            first = int(np.argmin(vectors @ vectors.mean(axis=0)))
            cosine = vectors @ vectors[first]
            other = int(np.argmin(cosine))
            found.append((members[first], members[other], cosine[other]))
    i, j, cosine = zip(*found, strict=True) if found else ((), (), ())
    return np.array(i, np.int64), np.array(j, np.int64), np.array(cosine, np.float32)


def _apart(i: np.ndarray, j: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the first candidates of which no two share an image: one image must not fill a row."""
    seen: set[int] = set()
    chosen: list[int] = []
    for n in candidates.tolist():
        ends = {int(i[n]), int(j[n])}
        if not ends & seen:
            seen |= ends
            chosen.append(n)
            if len(chosen) == _SHOWN:
                break
    return np.array(chosen, np.int64)


def _strips(
    run: RunData, i: np.ndarray, j: np.ndarray, notes: list[str], *, claimed: bool
) -> list[Strip]:
    strips = []
    for one, other, note in zip(i.tolist(), j.tolist(), notes, strict=True):
        mark = truth_mark(run, one, other, claimed=claimed)
        pictures: list[Picture] = [train_picture(run, row, mark=mark) for row in (one, other)]
        strips.append(Strip(note, pictures))
    return strips
