"""faiss on a GPU: exact search and inverted file, in float32.

The builds of faiss for GPUs (the extra `gpu`) bring it; the usual one sees no GPU.
"""

from typing import Any

import numpy as np

from mprd.system.gpu import gpu_number

MOST = 2048  # neighbours, and lists of an inverted file, that faiss finds on a GPU


class Card:
    """A GPU on which faiss searches.

    Attributes:
        number: of the GPU.
    """

    def __init__(self, number: int) -> None:
        import faiss

        self.number = number
        self._resources = faiss.StandardGpuResources()

    def load(self, index: Any) -> Any:
        """Return a copy of an index on this GPU, in float32."""
        import faiss

        return faiss.index_cpu_to_gpu(self._resources, self.number, index)

    def exact(self, rows: np.ndarray) -> Any:
        """Return an index that compares queries with all rows, float32 (N, D)."""
        import faiss

        index = self.load(faiss.IndexFlatIP(rows.shape[1]))
        index.add(rows)
        return index

    def inverted(self, rows: np.ndarray, centers: np.ndarray, probes: int) -> Any:
        """Return an index that compares queries with the rows of the nearest lists.

        Args:
            rows: float32 (N, D).
            centers: float32 (L, D), of the lists.
            probes: lists that each query looks at, at most `MOST`.
        """
        import faiss

        dim = rows.shape[1]
        quantizer = faiss.IndexFlatIP(dim)
        quantizer.add(centers)
        index = self.load(
            faiss.IndexIVFFlat(quantizer, dim, len(centers), faiss.METRIC_INNER_PRODUCT)
        )
        index.add(rows)
        index.nprobe = probes
        return index


def faiss_card(device: str) -> Card | None:
    """Return the GPU on which faiss searches; None: it searches on the CPU.

    Args:
        device: auto, cpu, cuda or cuda:N.

    Raises:
        UserError: a GPU is asked for, faiss uses GPUs, and there is none of that number.
    """
    if device == "cpu":
        return None
    import faiss

    if not faiss.get_num_gpus():
        return None
    number = gpu_number(device)
    return None if number is None else Card(number)
