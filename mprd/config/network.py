"""The settings of the embedding network and of its start."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mprd.config.section import Probability, Section


class ModelConfig(Section):
    """The embedding network: backbone, pooling, BNNeck, L2 norm."""

    backbone: str = Field(
        "resnet50",
        description="mini, resnet18/34/50/101/152, resnet50_ibn_a, resnet101_ibn_a, "
        "osnet_x0_25/x0_5/x0_75/x1_0, osnet_ibn_x1_0, osnet_ain_x1_0, timm/<name> (ImageNet "
        "weights of timm/tf_efficientnet_lite0 come with mprd), timm/hf-hub:<owner>/<name>; "
        "more: docs/howto/extend.md",
    )
    pooling: Literal["avg", "max", "gem", "avg+max", "token", "own"] = Field(
        "gem",
        description="pooling of the last feature map; token: a transformer's class token; own: as "
        "a network of timm pools, with the layers behind it",
    )
    last_stride: Literal[1, 2] = Field(
        1, description="stride of the last stage; 1 doubles the resolution"
    )
    bn_group_size: int = Field(
        16,
        ge=0,
        description="images that share batch-norm statistics in training; 0: the whole batch",
    )


class WarmupConfig(Section):
    """Self-supervised contrastive training on your own images (`init.method: warmup`)."""

    steps: int = Field(1000, ge=1, description="optimiser steps")
    batch_size: int = Field(128, ge=2, description="images per step, each in two views")
    lr: float = Field(1e-3, gt=0, description="peak learning rate of Adam (cosine decay)")
    weight_decay: float = Field(5e-4, ge=0, description="weight decay")
    temperature: float = Field(0.1, gt=0, description="temperature of the contrastive loss")
    projection: int = Field(
        128, ge=0, description="size of the projection head, dropped afterwards; 0: no head"
    )
    jitter: float = Field(
        0.4, ge=0, le=1, description="strength of brightness, contrast and saturation jitter"
    )
    hue: float = Field(0.02, ge=0, le=0.5, description="largest hue turn, in full turns")
    grayscale: Probability = Field(0.05, description="probability of a view without colour")
    min_scale: float = Field(
        0.5, gt=0, le=1, description="smallest share of an image that a random crop keeps"
    )


class InitConfig(Section):
    """The CNN that the first epoch starts from."""

    method: Literal["imagenet", "checkpoint", "warmup", "random"] = Field(
        "imagenet",
        description="imagenet: the published weights, of torchvision, timm, the hub or a "
        "package; checkpoint: a local file; warmup: self-supervised on your own images, no "
        "download; random",
    )
    checkpoint: Path | None = Field(
        None,
        description="weights file for `checkpoint`, of mprd or of another project "
        "(docs/howto/weights.md); `warmup` starts from it too if it is given",
    )
    warmup: WarmupConfig = Field(
        default_factory=WarmupConfig, description="settings of `method: warmup`"
    )

    @model_validator(mode="after")
    def _has_file(self) -> "InitConfig":
        if self.method == "checkpoint" and self.checkpoint is None:
            raise ValueError("method is `checkpoint` but no `checkpoint` file is given")
        if self.checkpoint is not None and self.method not in ("checkpoint", "warmup"):
            raise ValueError(f"`checkpoint` is given but method `{self.method}` does not read it")
        return self


class FeaturesConfig(Section):
    """Stored embeddings."""

    dtype: Literal["float32", "float16"] = Field(
        "float32",
        description="number format in `features.h5` and `embeddings.h5`. float16 halves the files "
        "and keeps about 3 digits (docs/explanation/scale.md). mprd computes in float32",
    )
    batch: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="images that the network embeds at once. auto: 64 on a CPU; on a GPU up to "
        "512, by its free memory. If that runs out, mprd halves the batch. Results differ only by "
        "rounding; a change runs nothing again",
    )
