"""Probabilities from an audit."""

import numpy as np
import pytest

from mprd.clustering.audit import audit_pairs
from mprd.clustering.audit_estimate import audit_estimate
from mprd.clustering.audited import audited_probability


@pytest.mark.parametrize("seed", range(5))
def test_an_image_is_as_likely_right_as_its_pairs(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40, 6))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = rng.integers(-1, 6, 40)
    drawn = audit_pairs(labels, features, 30)
    audit = audit_estimate(drawn, rng.integers(0, 2, len(drawn.pairs)))
    found = audited_probability(labels, features, audit)
    pairs = [(i, j) for i in range(40) for j in range(i) if labels[i] == labels[j] >= 0]
    pairs.sort(key=lambda pair: -float(features[pair[0]] @ features[pair[1]]))
    for image in range(40):
        own = [n for n, pair in enumerate(pairs) if image in pair]
        near = sum(n < audit.sizes[0] for n in own)
        if own:
            rates = audit.rates[0] * near + audit.rates[1] * (len(own) - near)
            assert found[image] == pytest.approx(rates / len(own), abs=1e-5)
        else:
            assert np.isnan(found[image])
