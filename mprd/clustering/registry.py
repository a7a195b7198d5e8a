"""The clusterings that `cluster.method` names."""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from mprd.config import ClusterConfig
from mprd.pipeline.registry import Registry

# (distances (N, N) of the pairs within eps, the `cluster` section) -> labels int32 (N,), 0..K-1,
# -1 outlier.
Clustering = Callable[[csr_array, ClusterConfig], np.ndarray]
CLUSTERINGS: Registry[Clustering] = Registry("cluster.method")
