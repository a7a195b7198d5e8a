"""Labels of a clustering of one's own: numbered without gaps, or refused in a sentence."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from mprd.clustering import from_pairs
from mprd.clustering.from_pairs import cluster_pairs
from mprd.config import ClusterConfig
from mprd.errors import UserError


def _labels(monkeypatch, returned):
    monkeypatch.setattr(from_pairs, "CLUSTERINGS", {"dbscan": lambda near, settings: returned})
    return cluster_pairs(csr_array((4, 4)), np.zeros((0, 2), np.int64), ClusterConfig())[0]


def test_gaps_are_closed(monkeypatch):
    labels = _labels(monkeypatch, np.array([5, -1, 2, 5]))
    assert labels.tolist() == [1, -1, 0, 1]
    assert labels.dtype == np.int32


@pytest.mark.parametrize("returned", [np.zeros(3, int), np.zeros(4), np.zeros((4, 1), int)])
def test_not_a_number_for_each_image(monkeypatch, returned):
    with pytest.raises(UserError, match="a whole number for each of the 4 images"):
        _labels(monkeypatch, returned)
