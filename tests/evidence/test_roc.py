import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.metrics import roc_auc_score

from mprd.evidence.roc import roc_auc

LENGTHS = array_shapes(max_dims=1, min_side=2, max_side=40)


@given(LENGTHS.flatmap(lambda n: arrays(bool, n)), st.data())
def test_the_bytes_of_scikit_learn(same, data):
    few = st.integers(-3, 3) | st.floats(-1, 1, width=32)
    score = data.draw(arrays(np.float32, same.shape, elements=few))
    if same.all() or not same.any():
        assert np.isnan(roc_auc(same, score))
    else:
        assert roc_auc(same, score) == roc_auc_score(same, score)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_scores(dtype):
    rng = np.random.default_rng(0)
    same = rng.random(100_000) < 0.3
    score = (rng.normal(size=len(same)) + same).astype(dtype)
    assert roc_auc(same, score) == roc_auc_score(same, score)
