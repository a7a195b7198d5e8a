"""A model as ONNX, for use without torch."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from mprd.artifacts import atomic
from mprd.errors import UserError
from mprd.models.network import ReidNetwork
from mprd.models.weights import load_network


class Deployed(nn.Module):
    """A network with the normalisation of pixels inside."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: ReidNetwork) -> None:
        """Take a network in eval mode."""
        super().__init__()
        self.network = network
        for name, values in network.statistics._asdict().items():
            self.register_buffer(name, 255 * torch.tensor(values))

    def forward(self, images: Tensor) -> Tensor:
        """Embed uint8 images (B, H, W, 3): float32 (B, D), rows of unit length."""
        normalised = (images.float() - self.mean) / self.std
        return self.network(normalised.permute(0, 3, 1, 2))


def export_onnx(model: Path, out: Path) -> tuple[int, int, int]:
    """Write a model as ONNX.

    The graph takes `images`, uint8 (batch, H, W, 3), RGB, resized; it gives `embeddings`, float32
    (batch, D). The batch size is free. Metadata: `height`, `width`, `dim`, `digest` of the
    weights, and the `card` where the model has one.

    Args:
        model: `model.safetensors`.
        out: ONNX file to write.

    Returns:
        Height and width of its images, and the size of its embeddings.

    Raises:
        UserError: not one of our models, or the ONNX libraries are not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch.onnx wants it)
    except ImportError:
        raise UserError("Export to ONNX needs more libraries: pip install 'mprd[onnx]'.") from None
    network, header = load_network(model, "float32")
    shape = network.architecture
    example = torch.zeros(2, shape.height, shape.width, 3, dtype=torch.uint8)
    program = torch.onnx.export(
        Deployed(network).eval(),
        (example,),
        dynamo=True,
        input_names=["images"],
        output_names=["embeddings"],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        verbose=False,
    )
    if program is None:
        raise UserError(f"{model} cannot be exported: torch gave no ONNX program.")
    proto = program.model_proto
    facts: dict[str, object] = {"height": shape.height, "width": shape.width, "dim": network.dim}
    facts |= {"digest": header["digest"], "architecture": json.dumps(shape.as_dict())}
    if "card" in header:
        facts["card"] = header["card"]
    onnx.helper.set_model_props(proto, {key: str(value) for key, value in facts.items()})
    with atomic(out, lock=False) as temporary:
        onnx.save(proto, str(temporary))
    return shape.height, shape.width, network.dim
