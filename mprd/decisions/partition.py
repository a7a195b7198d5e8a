"""What decisions do to clusters by themselves, before anything is clustered again."""

from collections.abc import Mapping, Sequence

import numpy as np

from mprd.decisions.entry import Decision, Kind
from mprd.decisions.replay import standing


def edited(
    numbers: np.ndarray,
    rows: Mapping[str, int],
    decisions: Sequence[Decision],
    following: int = 0,
) -> np.ndarray:
    """Return clusters after decisions, which a page shows at once; `mprd apply` does more.

    A merged cluster has the number of the one that is named first. Images that leave get a new
    number: one for all of a SPLIT or NEW, one for each of a NOT and for an image of DIFFERENT that
    shares the cluster of the other. A decision that holds already changes nothing. Images that are
    not of the run are passed over.

    Args:
        numbers: int (N,), of the cluster of each image, -1 outlier.
        rows: path of each image -> its row, 0..N-1.
        decisions: that hold, in their order.
        following: least number of a new cluster.

    Returns:
        int32 (N,).
    """
    result = np.array(numbers, np.int32)
    fresh = max(following, int(result.max(initial=-1)) + 1)
    for one in standing(decisions):
        images, others = (
            np.array([rows[path] for path in side if path in rows], np.int64)
            for side in (one.images, one.others)
        )
        lost = one.kind is not Kind.NEW and one.others and not len(others)
        if not len(images) or lost:
            continue
        if one.kind in (Kind.SAME, Kind.MERGE, Kind.CONFIRM):
            fresh = _join(result, np.concatenate([images, others]), fresh)
        elif one.kind is Kind.MOVE:
            target = result[others[0]]
            if target < 0:
                target, fresh = fresh, fresh + 1
                result[others] = target
            result[images] = target
        elif one.kind is Kind.NEW:
            if not _by_themselves(result, images, others):
                result[images], fresh = fresh, fresh + 1
        elif one.kind in (Kind.SPLIT, Kind.NOT, Kind.DIFFERENT):
            shared = np.isin(result[images], np.setdiff1d(result[others], [-1]))
            leaving = images[shared]
            if one.kind is Kind.SPLIT and len(leaving):
                result[images], fresh = fresh, fresh + 1
            elif len(leaving):
                result[leaving] = fresh + np.arange(len(leaving))
                fresh += len(leaving)
    return result


def _by_themselves(result: np.ndarray, images: np.ndarray, others: np.ndarray) -> bool:
    """Tell whether images are one cluster, without the others."""
    numbers = np.unique(result[images])
    return len(numbers) == 1 and numbers[0] >= 0 and numbers[0] not in result[others]


def _join(result: np.ndarray, images: np.ndarray, fresh: int) -> int:
    """Give all clusters of some images, and the outliers among them, one number."""
    inside = result[images]
    known = inside[inside >= 0]
    number, following = (int(known[0]), fresh) if len(known) else (fresh, fresh + 1)
    result[np.isin(result, known)] = number
    result[images] = number
    return following
