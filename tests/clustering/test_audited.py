"""Probabilities from an audit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mprd.clustering.audited import audited_probability


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(-1, 3)), min_size=2, max_size=30),
    st.floats(0.02, 0.98),
)
def test_their_mean_over_pairs_is_the_audited_precision(images, precision):
    membership = np.array([value for value, _ in images], np.float32)
    labels = np.array([label for _, label in images])
    mates = np.array([(labels == label).sum() - 1 if label >= 0 else 0 for label in labels])
    found = audited_probability(membership, labels, precision)
    np.testing.assert_array_equal(np.isnan(found), mates == 0)
    paired = mates > 0
    if not paired.any():
        return
    assert np.average(found[paired], weights=mates[paired]) == pytest.approx(precision, abs=1e-4)
    order = np.argsort(membership[paired], kind="stable")
    assert (np.diff(found[paired][order]) >= 0).all(), "the order of doubt stays"
