"""All images of a track show one object, so they belong to one cluster."""

import numpy as np

from mprd.clustering.numbering import number_clusters


def hold_tracks(labels: np.ndarray, tracks: np.ndarray) -> np.ndarray:
    """Return labels in which each track is in one cluster: that of most of its images.

    Of equal counts the smaller label wins. Outliers follow the others; a track whose images are
    all outliers stays outside.

    Args:
        labels: int (N,), -1 outlier.
        tracks: int (N,), -1 unknown: such images stay where they are.

    Returns:
        int32 (N,), -1 outlier; numbered by the first member, unless there are no tracks.
    """
    if not (tracks >= 0).any():
        return labels.astype(np.int32)
    voting = (tracks >= 0) & (labels >= 0)
    span = int(labels.max(initial=-1)) + 1
    votes, counts = np.unique(
        tracks[voting].astype(np.int64) * span + labels[voting], return_counts=True
    )
    track, label = np.divmod(votes, max(span, 1))
    order = np.lexsort((label, -counts, track))  # of each track the winner first
    _, first = np.unique(track[order], return_index=True)
    winner = np.full(int(tracks.max(initial=-1)) + 2, -1)  # the last entry: of no track
    winner[track[order][first]] = label[order][first]
    held = np.where(tracks >= 0, winner[tracks], labels)
    result = np.full(len(labels), -1, np.int32)
    result[held >= 0] = number_clusters(held[held >= 0], 1)
    return result
