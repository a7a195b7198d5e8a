"""Look up the stored Jaccard distances of any pairs."""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor


class JaccardTable:
    """Jaccard similarities of the images of an epoch."""

    def __init__(self, distance: csr_array, device: torch.device) -> None:
        """Take over the distances of a graph.

        Args:
            distance: (N, N), column indices sorted; what is not stored counts as distance 1.
            device: where pairs are looked up.
        """
        self._count = distance.shape[0]
        rows = np.repeat(np.arange(self._count), np.diff(distance.indptr))
        keys = rows.astype(np.int64) * self._count + distance.indices
        self._keys = torch.from_numpy(keys).to(device)
        self._similarity = torch.from_numpy(1 - distance.data).float().to(device)

    def similarity(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return 1 - Jaccard distance of pairs, 0 where none is stored.

        Args:
            rows: int64, any shape.
            columns: int64, the same shape; nodes that are no image of the graph have none.
        """
        if not len(self._keys):
            return torch.zeros(rows.shape, device=self._keys.device)
        keys = rows * self._count + columns
        place = torch.searchsorted(self._keys, keys).clamp_(max=len(self._keys) - 1)
        stored = (self._keys[place] == keys) & (columns < self._count)
        return torch.where(stored, self._similarity[place], 0.0)
