"""NMI and ARI of `pair_quality` against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from mprd.clustering.agreement import pair_quality


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_equals_scikit_learn(pairs):
    labels, identities = np.array([*pairs, (0, 0)]).T
    known = identities >= 0
    apart = np.where(labels < 0, 100 + np.arange(len(labels)), labels)[known]
    found = pair_quality(labels, identities)
    expected = normalized_mutual_info_score(identities[known], apart)
    assert found.nmi == pytest.approx(expected, abs=1e-12)
    assert found.ari == pytest.approx(adjusted_rand_score(identities[known], apart), abs=1e-12)
