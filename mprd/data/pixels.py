"""The pixels artifact: in memory, on the GPU, or read by chunk; and pixels as network input."""

import json
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mprd.artifacts import PIXELS, open_artifact, read_images
from mprd.artifacts.disk import open_hdf5
from mprd.data.read_ahead import ReadAhead
from mprd.system.ram import PIXEL_SHARE, held_pixels


class Statistics(NamedTuple):
    """What a network's input is normalised by, for values in [0, 1].

    Attributes:
        mean: of red, green, blue.
        std: standard deviation, likewise.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET: Statistics = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class PixelStore:
    """Chosen rows of `pixels.h5`, given as batches on a device.

    The rows are held in main memory if they take at most 40 % of what is free, and then on the GPU
    under the same rule; else they are read from the file, a batch ahead. The batches are equal.
    """

    def __init__(self, path: Path, rows: np.ndarray, device: torch.device) -> None:
        """Open the file; the rows are loaded, if they fit, when the first batch is asked for.

        Args:
            path: a `pixels.h5`.
            rows: int64 (N,), index rows; position i of the store is row `rows[i]`.
            device: where batches are wanted.

        Raises:
            UserError: not a sound pixels artifact, or too short for `rows`.
        """
        self.path, self.rows, self.device = path, np.asarray(rows), device
        with open_artifact(path, PIXELS) as file:
            self.digest = str(file.attrs["digest"])
            self.index_digest = json.loads(file.attrs["inputs"]).get("index")
            self.shape = file["pixels"].shape

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    @property
    def size(self) -> int:
        """Return the bytes that the images take."""
        return len(self.rows) * int(np.prod(self.shape[1:]))

    @property
    def memory(self) -> int:
        """Return the bytes of main memory that the images take, or will take as it looks now."""
        if "_held" not in self.__dict__:
            return held_pixels(self.size)
        return self.size if self._held is not None and self._held.device.type == "cpu" else 0

    @property
    def resident(self) -> bool:
        """Whether the images are held on the device, so that a batch needs no word of the host."""
        return self._held is not None and self._held.device.type == self.device.type

    def batch(self, positions: Tensor | np.ndarray) -> Tensor:
        """Return images as uint8 (B, H, W, 3) on the device.

        Args:
            positions: int64 (B,), positions in `rows`: on the device if the images are `resident`,
                else best in main memory.
        """
        if self._held is None:
            return self._upload(torch.from_numpy(self._file.read(self.rows[_on_host(positions)])))
        if self.resident:
            return self._held[torch.as_tensor(positions).to(self._held.device)]
        return self._upload(self._held[torch.from_numpy(_on_host(positions))])

    def _upload(self, images: Tensor) -> Tensor:
        """Move images to the device; to a GPU without waiting for it."""
        if self.device.type == "cuda":
            return images.pin_memory().to(self.device, non_blocking=True)
        return images.to(self.device)

    def ahead(self, positions: Tensor | np.ndarray) -> None:
        """Begin to read the batch that will be asked for next, where images are not held.

        Args:
            positions: int64 (B,), positions in `rows`.
        """
        if self._held is None:
            self._file.begin(self.rows[_on_host(positions)])

    @cached_property
    def _file(self) -> ReadAhead:
        return ReadAhead(self.path)

    @cached_property
    def _held(self) -> Tensor | None:
        if not held_pixels(self.size):
            return None
        with open_hdf5(self.path) as file:
            held = torch.from_numpy(read_images(file, self.rows))
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if self.size <= PIXEL_SHARE * free:
                return held.to(self.device)
        return held


def _on_host(positions: Tensor | np.ndarray) -> np.ndarray:
    return torch.as_tensor(positions).cpu().numpy()


def normalize_pixels(images: Tensor, statistics: Statistics) -> Tensor:
    """Turn uint8 or float [0, 255] images (B, H, W, 3) into network input (B, 3, H, W)."""
    mean, std = _on_device(statistics, images.device)
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


@cache
def _on_device(statistics: Statistics, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of pixels; uploaded to a device once."""
    mean, std = (torch.tensor(values, device=device) * 255 for values in statistics)
    return mean, std
