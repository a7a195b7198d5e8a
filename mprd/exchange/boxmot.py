"""The weights of a trained OSNet as BoxMOT and torchreid load them."""

from pathlib import Path

import torch

from mprd.artifacts import atomic
from mprd.data.pixels import IMAGENET
from mprd.errors import UserError, pasted
from mprd.inference.no_model import require_model
from mprd.models.backbones.osnet import DESIGNS
from mprd.models.weights import load_network
from mprd.pipeline.finished import finished_run

_SIZE = (256, 128)  # to which BoxMOT resizes every crop


def write_boxmot(run: Path, out: Path) -> str:
    """Write `<backbone>_mprd.pt`: BoxMOT tells the network by the name of the file.

    Tensors have the names of torchreid's files, which lie below `backbone.` in our networks. The
    BNNeck follows under `bottleneck.`: mprd reads it, BoxMOT and torchreid pass it over, and their
    features end before it.

    Args:
        run: folder of a finished run.
        out: folder to write into.

    Returns:
        What to do with it.

    Raises:
        UserError: the run is not finished, has no model, or its network is not one that BoxMOT can
            build.
    """
    model = finished_run(run).final.model
    require_model(model)
    network, _ = load_network(model)
    shape = network.architecture
    if shape.backbone not in DESIGNS:
        raise UserError(
            f"{model} is a network of the kind {shape.backbone}. BoxMOT builds only these of "
            f"mprd's networks: {', '.join(DESIGNS)}. Take any other network there as ONNX: mprd "
            f"onnx {pasted(model)} --out model.onnx"
        )
    if shape.pooling != "avg":
        raise UserError(
            f"{model} pools by model.pooling {shape.pooling}, and BoxMOT's OSNets by the mean: its "
            "features would be others. Train with model.pooling: avg, or take `mprd onnx`."
        )
    if shape.statistics != IMAGENET:
        raise UserError(
            f"{model} normalises its images by other numbers than BoxMOT, whose features would be "
            "others. Take `mprd onnx`, which normalises them itself."
        )
    tensors = {
        key.removeprefix("backbone.").replace("neck.", "bottleneck."): value.contiguous()
        for key, value in network.state_dict().items()
    }
    name = f"{shape.backbone}_mprd.pt"
    with atomic(out / name, lock=False) as temporary:
        torch.save({"state_dict": tensors, "model_name": shape.backbone}, temporary)
    size = (shape.height, shape.width)
    note = ""
    if size != _SIZE:
        note = f"; it was trained on {size[0]}x{size[1]} pixels, BoxMOT gives it 256x128"
    return f"{name}: name it as BoxMOT's ReID weights, and keep {shape.backbone} in its name{note}"
