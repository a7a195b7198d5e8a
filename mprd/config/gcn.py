"""The settings of the relation GCN."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mprd.config.section import Section


class MetadataConfig(Section):
    """Certain pairs that the relation GCN learns first."""

    source: Literal["views", "labels", "pairs"] = Field(
        "views",
        description="views: augmented views of a few images; labels: a CSV path,identity; "
        "pairs: a CSV path_a,path_b,same (see `mprd pairs`)",
    )
    file: Path | None = Field(None, description="CSV of `labels` or `pairs`")
    images: int = Field(5, ge=2, description="views: number of mutually dissimilar images")
    views: int = Field(8, ge=2, description="views: augmented views of each image")

    @model_validator(mode="after")
    def _has_file(self) -> "MetadataConfig":
        if self.source != "views" and self.file is None:
            raise ValueError(f"source is `{self.source}` but no `file` is given")
        if self.source == "views" and self.file is not None:
            raise ValueError("`file` is given but source `views` does not read it")
        return self


class UnlabelledConfig(Section):
    """Training pairs of the relation GCN, found inside clusters without labels."""

    source: Literal["cameras", "strict", "views"] = Field(
        "cameras",
        description="how pairs are found. cameras: by their ranks within each other's camera and "
        "their Jaccard distance; strict: positive if together at a stricter eps, negative if "
        "weakly linked; views: an image with its view, and with its nearest stranger",
    )
    positive_rank: int = Field(
        2,
        ge=1,
        le=64,
        description="cameras: in a positive pair, each end has at most this rank among the images "
        "of its camera, seen from the other end. Ranks are known at the levels 1, 2, 3, 4, 6, 8, "
        "11, 16, 23, 32, 45, 64, 91, 128",
    )
    negative_rank: int = Field(
        9, ge=2, le=128, description="cameras: in a negative pair, one end has at least this rank"
    )
    strict: float = Field(
        0.7, gt=0, lt=1, description="strict: the stricter eps, as a share of cluster.eps"
    )
    images: int = Field(512, ge=8, description="views: largest number of images that get a view")

    @model_validator(mode="after")
    def _apart(self) -> "UnlabelledConfig":
        if 2 * self.positive_rank > self.negative_rank:
            raise ValueError("negative_rank must be at least twice positive_rank")
        return self


class PretrainTasksConfig(Section):
    """Reptile tasks before the first epoch: first metadata, then unlabelled pairs."""

    metadata: int = Field(20, ge=0, description="tasks of metadata pairs")
    unlabelled: int = Field(200, ge=0, description="tasks of unlabelled pairs")


class UpdateTasksConfig(Section):
    """Reptile tasks after each epoch."""

    metadata: int = Field(10, ge=0, description="tasks of metadata pairs")
    unlabelled: int = Field(40, ge=0, description="tasks of unlabelled pairs of the epoch")
    collected: int = Field(10, ge=0, description="tasks of pairs collected in training")


class GcnConfig(Section):
    """The relation GCN, which predicts doubtful pairs (`use_gcn`)."""

    network: str = Field(
        "dgcnn", description="dgcnn (the paper), gatv2 (attention, by torch-geometric)"
    )
    node_features: Literal["relational", "raw"] = Field(
        "relational",
        description="relation of a node to the two ends, or raw memory row (the paper)",
    )
    neighbors: int = Field(7, ge=1, description="neighbours of each end in a subgraph")
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (512, 512), min_length=1, description="widths of the graph convolutions before the last"
    )
    sort_k: int = Field(10, ge=10, description="nodes that SortPooling keeps")
    conv: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        (1024, 2048), description="channels of the two convolutions after SortPooling"
    )
    mlp: int = Field(1024, ge=1, description="width of the classifier's hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout in the classifier")
    metadata: MetadataConfig = Field(
        default_factory=MetadataConfig, description="pairs known with certainty"
    )
    unlabelled: UnlabelledConfig = Field(
        default_factory=UnlabelledConfig, description="pairs found without labels"
    )
    batch: int = Field(64, ge=4, description="pairs in an inner step")
    inner_steps: int = Field(3, ge=1, description="SGD steps of a Reptile task (n)")
    inner_rate: float = Field(0.02, gt=0, description="learning rate of the inner steps")
    outer_rate: float = Field(0.5, gt=0, le=1, description="Reptile's outer step (epsilon)")
    pretrain: PretrainTasksConfig = Field(
        default_factory=PretrainTasksConfig, description="tasks before the first epoch"
    )
    learn: bool = Field(True, description="continue learning after each epoch")
    update: UpdateTasksConfig = Field(
        default_factory=UpdateTasksConfig, description="tasks after each epoch (`learn`)"
    )
