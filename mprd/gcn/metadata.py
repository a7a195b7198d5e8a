"""Metadata: a few pairs that are known with certainty.

Nodes are augmented views of chosen training images, or training images that a person knows; pairs
join two nodes.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from mprd.decisions.answers import read_answers, read_csv, rows_of
from mprd.errors import UserError, many

_HARD_NEGATIVES = 4  # images of others that each image of `source: labels` is paired with


@dataclass(frozen=True)
class MetadataPairs:
    """Pairs of nodes.

    Attributes:
        pairs: int64 (p, 2), nodes.
        same: bool (p,).
    """

    pairs: np.ndarray
    same: np.ndarray


def choose_dissimilar(
    features: np.ndarray, neighbors: np.ndarray, cameras: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, float]:
    """Choose images of one camera that are mutually dissimilar: no two are neighbours.

    One camera (that with the most images), because views of an image share its camera: pairs of
    different images must do so too, or the camera would tell the answer. From a random first
    image on, each next one is the image whose largest similarity to those chosen is smallest,
    among those that are not in each other's neighbour lists with one of them.

    Args:
        features: float32 (N, D), unit rows.
        neighbors: int32 (N, k), neighbour lists.
        cameras: int (N,).
        count: images to choose; fewer are, where so many strangers are not found.
        seed: of the first image.

    Returns:
        Rows int64 (m,), 2 <= m <= count, and the largest similarity between two of them.

    Raises:
        UserError: no two images of the camera are strangers.
    """
    values, sizes = np.unique(cameras, return_counts=True)
    rows = np.flatnonzero(cameras == values[np.argmax(sizes)])
    chosen = [int(rows[np.random.default_rng(seed).integers(len(rows))])]
    nearest = np.full(len(rows), -np.inf)
    while len(chosen) < count:
        last = chosen[-1]
        nearest = np.maximum(nearest, features[rows] @ features[last])
        listed = np.isin(rows, neighbors[last]) & (neighbors[rows] == last).any(axis=1)
        nearest[listed | (rows == last)] = np.inf
        if np.isinf(nearest.min()):
            break
        chosen.append(int(rows[nearest.argmin()]))
    if len(chosen) < 2:
        raise UserError(
            f"No two of the {len(rows)} images of the largest camera are strangers to each other: "
            "the relation GCN has nothing to begin with. Lower graph.k1, or set use_gcn: false "
            "and cluster.relation: jaccard."
        )
    if len(chosen) < count:
        print(f"gcn.metadata.images: {count} strangers are asked for, {len(chosen)} were found.")
    result = np.array(chosen)
    similarity = features[result] @ features[result].T
    return result, float(similarity[~np.eye(len(result), dtype=bool)].max())


def pair_views(features: np.ndarray, image: np.ndarray) -> MetadataPairs:
    """Pair views of one image, and each view with the hardest view of every other image.

    Args:
        features: float32 (m, D), unit rows.
        image: int (m,), image that each view shows.
    """
    positive = [p for p in combinations(range(len(image)), 2) if image[p[0]] == image[p[1]]]
    similarity = features @ features.T
    negative = set()
    for node in range(len(image)):
        for other in set(image.tolist()) - {int(image[node])}:
            views = np.flatnonzero(image == other)
            hardest = int(views[similarity[node, views].argmax()])
            negative.add((min(node, hardest), max(node, hardest)))
    return _pairs(positive, sorted(negative))


def pair_identities(features: np.ndarray, identity: np.ndarray) -> MetadataPairs:
    """Pair images of one identity, and each image with the most similar ones of others.

    Args:
        features: float32 (m, D), unit rows.
        identity: int (m,).

    Raises:
        UserError: one identity only, or no identity with two images.
    """
    nodes = range(len(identity))
    positive = [p for p in combinations(nodes, 2) if identity[p[0]] == identity[p[1]]]
    if len(set(identity.tolist())) < 2:
        raise UserError(
            "The labels name one identity only. Label images of at least two identities."
        )
    if not positive:
        raise UserError(
            "The labels name no identity with two images. Label two images of an identity."
        )
    similarity = features @ features.T
    similarity[identity[:, None] == identity] = -np.inf
    negative = set()
    for node in nodes:
        for other in np.argsort(-similarity[node], kind="stable")[:_HARD_NEGATIVES].tolist():
            if similarity[node, other] > -np.inf:
                negative.add((min(node, other), max(node, other)))
    return _pairs(positive, sorted(negative))


def read_labels(path: Path, rows: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Read a CSV `path,identity` of training images (lines without an identity are passed over).

    Args:
        path: the CSV.
        rows: path of each training image -> training row.

    Returns:
        Training rows int64 (m,), identities int64 (m,) numbered from 0.

    Raises:
        UserError: unreadable, other columns, unknown paths, an image twice.
    """
    table = read_csv(path, ("path", "identity"))
    table = table[table["identity"].str.strip() != ""]
    found = rows_of(table["path"], rows, path)
    if len(set(found.tolist())) < len(found):
        twice = table["path"][pd.Series(found).duplicated()].iloc[0]
        raise UserError(f"{path} names the image {twice} twice. Keep one line of it.")
    return found, pd.factorize(table["identity"].str.strip())[0].astype(np.int64)


def read_judgements(path: Path, rows: dict[str, int]) -> tuple[np.ndarray, MetadataPairs]:
    """Read a person's answers, of both kinds, as pairs of nodes.

    Args:
        path: CSV of `read_answers`.
        rows: path of each training image -> training row.

    Returns:
        Training rows of the nodes int64 (m,), and the pairs.

    Raises:
        UserError: as `read_answers`; answers of one kind only.
    """
    pairs, same = read_answers(path, rows)
    if not same.any() or same.all():
        kind = "different" if not same.any() else "same"
        raise UserError(
            f"{path} holds {many(len(same), 'judged pair')}"
            + (f", all `{kind}`" if len(same) else "")
            + ". Judge pairs of both kinds (1 and 0)."
        )
    nodes, inverse = np.unique(pairs, return_inverse=True)
    return nodes, MetadataPairs(inverse.reshape(-1, 2).astype(np.int64), same)


def _pairs(positive: list[tuple[int, int]], negative: list[tuple[int, int]]) -> MetadataPairs:
    pairs = np.array([*positive, *negative], np.int64).reshape(-1, 2)
    return MetadataPairs(pairs, np.arange(len(pairs)) < len(positive))
