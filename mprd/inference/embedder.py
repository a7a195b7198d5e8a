"""`mprd.load_model(path).embed(images)`: embeddings of any images, for users of a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mprd.data.image_paths import image_paths
from mprd.data.images import as_rgb, resize, resized
from mprd.data.pixels import normalize_pixels
from mprd.errors import UserError, why_no_file
from mprd.inference import batches
from mprd.inference.no_model import require_model
from mprd.inference.search import search
from mprd.models.network import Precision, ReidNetwork
from mprd.models.weights import load_network
from mprd.system.torch_setup import select_device

# A path, a folder, paths or pictures, or an array of pictures (or, to search, of features).
Images = str | Path | Sequence[str | Path | Image.Image] | np.ndarray

_CPU_BATCH = 128  # images that are read and embedded at once


class Embedder:
    """A trained network with its own preprocessing.

    Example:
        >>> model = mprd.load_model("results/demo/final/model.safetensors")
        >>> model.embed(["a.jpg", "b.jpg"]).shape
        (2, 192)
    """

    def __init__(self, network: ReidNetwork, device: torch.device, digest: str = "") -> None:
        """Take a network.

        Args:
            network: in eval mode from now on.
            device: where to compute.
            digest: of its weights, for telling what was made by it.
        """
        self.network = network.to(device).eval()
        self.device = device
        self.digest = digest

    @property
    def dim(self) -> int:
        """Embedding size D."""
        return self.network.dim

    def embed(self, images: Images, batch_size: int | None = None) -> np.ndarray:
        """Embed images.

        Args:
            images: a path, a folder (its images in the order of `mprd.image_paths`), a sequence
                of paths or PIL images, or a uint8 array (n, h, w, 3) of RGB images; resized as the
                network was trained.
            batch_size: images per forward pass; None: 128 on a CPU, on a GPU by its free memory.
                If that runs out, they are embedded in smaller batches.

        Returns:
            float32 (n, D), rows of unit length.

        Raises:
            UserError: a path cannot be read as an image.
            ValueError: an array of another shape or dtype.
        """
        if isinstance(images, str | Path):
            images = image_paths(images)
        if isinstance(images, np.ndarray) and (
            images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3
        ):
            raise ValueError(
                f"images must be uint8 (n, h, w, 3), not {images.dtype} {images.shape}"
            )
        size = batch_size or self._images_at_once()
        network, statistics = self.network, self.network.statistics
        embed = batches.Batches(lambda part: network(normalize_pixels(part, statistics)), size)
        blocks = []
        for start in range(0, len(images), size):
            pixels = [self._pixels(image) for image in images[start : start + size]]
            blocks.append(self._embed_batch(embed, pixels))
        return np.concatenate(blocks) if blocks else np.empty((0, self.dim), np.float32)

    def search(
        self, query: Images, gallery: Images, k: int = 10, *, among: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k gallery images most similar to each query image.

        Args:
            query: images as for `embed`, or their features, float32 (Q, D).
            gallery: likewise; embed a gallery once and give its features to search it often.
            k: matches per query.
            among: bool (G,), gallery images to search among; None: all.

        Returns:
            Similarity (cosine) float32 (Q, k) and gallery row int64 (Q, k), best first.

        Raises:
            UserError: a path cannot be read as an image.
        """
        return search(self._features(query), self._features(gallery), k, among=among)

    def _features(self, images: Images) -> np.ndarray:
        """Return features as they are, images embedded."""
        if isinstance(images, np.ndarray) and images.ndim == 2:
            return images
        return self.embed(images)

    def _pixels(self, image: str | Path | Image.Image | np.ndarray) -> np.ndarray:
        shape = self.network.architecture
        if isinstance(image, str | Path):
            return resized(Path(image), shape.height, shape.width, bits=shape.bits)
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        return resize(as_rgb(image, shape.bits), shape.height, shape.width)

    def _images_at_once(self) -> int:
        if self.device.type == "cpu":
            return _CPU_BATCH
        return batches.batch_size(self.network, self.device, "auto")

    def _embed_batch(self, embed: batches.Batches, pixels: list[np.ndarray]) -> np.ndarray:
        batch = torch.from_numpy(np.stack(pixels)).to(self.device)
        with torch.inference_mode():
            return embed(batch).float().cpu().numpy()


def load_model(path: str | Path, device: str = "auto", precision: Precision = "auto") -> Embedder:
    """Load a `model.safetensors` for inference.

    Args:
        path: any model of a run.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, float32 or bfloat16; see the setting `precision`.

    Raises:
        UserError: not one of our models, or no such device.
    """
    if not Path(path).is_file():
        require_model(Path(path))
        raise UserError(
            f"{why_no_file(Path(path))}. Name the final/model.safetensors of a run, or of an epoch."
        )
    network, header = load_network(Path(path), precision)
    return Embedder(network, select_device(device), header["digest"])
