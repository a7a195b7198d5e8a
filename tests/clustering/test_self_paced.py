"""SpCL's criterion against dense matrices of "same cluster"."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mprd.clustering.self_paced import self_paced

LABELS = st.lists(st.integers(-1, 3), min_size=8, max_size=8)


def dense(labels):
    labels = np.where(labels < 0, 100 + np.arange(len(labels)), labels)
    return labels[:, None] == labels[None, :]


def literal(labels, tight, loose, threshold):
    now, strict, wide = dense(labels), dense(tight), dense(loose)
    comp = 1 - (now & strict).sum(1) / (now | strict).sum(1)
    indep = 1 - (now & wide).sum(1) / (now | wide).sum(1)
    clusters = sorted(set(labels[labels >= 0].tolist()))
    best_comp = {c: min(comp[labels == c]) for c in clusters}
    best_indep = {c: min(indep[labels == c]) for c in clusters}
    if threshold is None and clusters:
        ranked = sorted(best_indep.values())
        threshold = ranked[min(len(ranked) - 1, round(0.9 * len(ranked)))]
    keep = [
        c >= 0 and best_indep[c] <= threshold and comp[i] <= best_comp[c]
        for i, c in enumerate(labels.tolist())
    ]
    return keep, threshold


@given(LABELS, LABELS, LABELS, st.sampled_from([None, 0.0, 0.3, 0.9]))
def test_equals_the_dense_criterion(labels, tight, loose, threshold):
    labels, tight, loose = (np.array(x) for x in (labels, tight, loose))
    used = sorted(set(labels[labels >= 0].tolist()))
    labels = np.array([used.index(c) if c >= 0 else -1 for c in labels])
    found, used_threshold = self_paced(labels, tight, loose, threshold)
    keep, expected = literal(labels, tight, loose, threshold)
    if used:
        assert used_threshold == expected
    kept = {c: [i for i in range(8) if keep[i] and labels[i] == c] for c in range(len(used))}
    members = [rows for rows in kept.values() if len(rows) > 1]
    assert np.flatnonzero(found >= 0).tolist() == sorted(i for rows in members for i in rows)
    for rows in members:
        assert len(set(found[rows].tolist())) == 1
    firsts = [np.flatnonzero(found == c)[0] for c in range(found.max() + 1)]
    assert firsts == sorted(firsts), "numbered by the first member"


def test_stable_clusters_stay_and_merging_ones_fall():
    stable, merging = [0] * 4, [1] * 3 + [2] * 3
    labels = np.array(stable + merging)
    loose = np.array(stable + [1] * 6)
    found, _ = self_paced(labels, labels, loose, 0.1)
    assert found.tolist() == [0] * 4 + [-1] * 6
