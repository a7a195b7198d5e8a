"""Settings of training: augmentation, batches, optimiser, losses."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mprd.config.section import Probability, Section


class AugmentConfig(Section):
    """Random changes of the training images."""

    flip: Probability = Field(0.5, description="probability of a horizontal flip")
    pad: int = Field(10, ge=0, description="border added before the random crop, pixels")
    erase: Probability = Field(0.5, description="probability that a rectangle is erased")
    jitter: float = Field(
        0.0, ge=0, le=1, description="strength of brightness, contrast and saturation jitter"
    )


class TrainConfig(Section):
    """One epoch of CNN training."""

    iters: int = Field(400, ge=1, description="optimiser steps per epoch")
    identities: int = Field(4, ge=2, description="clusters in a batch (P)")
    instances: int = Field(16, ge=2, description="images of each cluster in a batch (S)")
    sampler: Literal["anchor", "cameras", "random"] = Field(
        "anchor",
        description="instances of a cluster. anchor: a random image, then images of other cameras "
        "than its own, with repeats (the papers); cameras: distinct images, each camera before any "
        "again; random: distinct images",
    )
    lr: float = Field(3.5e-4, gt=0, description="learning rate of Adam")
    weight_decay: float = Field(5e-4, ge=0, description="weight decay")
    lr_step: int = Field(20, ge=1, description="epochs between two drops of the learning rate")
    lr_gamma: float = Field(0.1, gt=0, le=1, description="factor of a drop")
    average_from: int | None = Field(
        None,
        ge=1,
        description="from this epoch on, the model of an epoch is the mean of the weights that the "
        "epochs since then left; training goes on from the weights themselves. null: no mean",
    )
    temperature: float = Field(0.05, gt=0, description="temperature T of all losses")
    momentum: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of the old prototype, proxy or (hybrid) instance that is kept (m)",
    )
    memory: str = Field(
        "cluster",
        description="what a batch is compared with. cluster: prototypes (Cluster Contrast, MPRD); "
        "hybrid: prototypes and the images outside all clusters (SpCL); camera: a proxy of each "
        "cluster in each camera (CAP); or one of your own",
    )
    across_weight: float = Field(
        0.5, ge=0, description="camera: weight of the contrast across cameras"
    )
    hard_proxies: int = Field(
        50, ge=1, description="camera: proxies of other clusters that count across cameras"
    )
    online_weight: float = Field(
        0.0,
        ge=0,
        description="camera: weight of the online association (O2CAP), the contrast with the "
        "proxies of other cameras that look most like the image's own, whatever their cluster",
    )
    memory_update: Literal["hard", "mean", "all"] = Field(
        "hard",
        description="a prototype moves to its least similar batch member, to their mean, "
        "or to every member in turn",
    )
    member_weights: bool = Field(
        False,
        description="weigh each member of a cluster by its mean relation to the other members "
        "(`membership` in clusters.h5), so that doubtful members count less in the prototype",
    )
    use_hsd: bool = Field(
        False,
        description="train on hard pairs (HSD, from the papers); false: plain Cluster Contrast, "
        "which is about as good (docs/explanation/learning.md)",
    )
    hsd_mix: Probability = Field(0.2, description="share of the hard positive in c+ (a)")
    hsd_margin: float = Field(
        0.15,
        ge=0,
        le=2,
        description="handicap of the hard negatives, in cosine. Their weight lambda is "
        "exp(-margin / temperature): 0.05 at temperature 0.05",
    )
    use_ppa: bool = Field(
        False, description="add the positive pair alignment loss (PPA, from the papers)"
    )
    ppa_mix: Probability = Field(0.1, description="share of the hard pair in a prototype (b)")
    ppa_weight: float = Field(1.0, ge=0, description="weight of the PPA loss")
    step_graph: Literal["auto", "always", "never"] = Field(
        "auto",
        description="record a training step as a CUDA graph and replay it, which spares the CPU "
        "the launches. auto: on a GPU that holds the images, from 50 steps an epoch; always: also "
        "for fewer. A change runs nothing again",
    )
    extra_losses: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="name -> weight of your own losses, which are added to the total"
    )

    @model_validator(mode="after")
    def _own_losses(self) -> "TrainConfig":
        for name in {"cluster_contrast", "hsd", "ppa", "camera"} & set(self.extra_losses):
            raise ValueError(
                f"extra_losses names {name}, which has settings of its own "
                "(use_hsd, use_ppa, memory)"
            )
        return self

    @model_validator(mode="after")
    def _fits_memory(self) -> "TrainConfig":
        if self.memory == "hybrid" and self.member_weights:
            raise ValueError(
                "memory hybrid goes with member_weights: false: its classes are plain means of "
                "their instances"
            )
        if self.memory == "hybrid" and (self.use_hsd or self.use_ppa):
            raise ValueError(
                "memory hybrid goes with use_hsd: false and use_ppa: false: hard pairs are mixed "
                "with prototypes of unit length, its prototypes are means"
            )
        return self

    def epochs_averaged(self, epoch: int) -> int:
        """Return of how many earlier epochs the weights are in the mean of an epoch (1-based)."""
        return 0 if self.average_from is None else max(0, epoch - self.average_from)

    @property
    def uses_pairs(self) -> bool:
        """Whether a loss works on hard pairs."""
        return self.use_hsd or self.use_ppa

    @property
    def losses(self) -> dict[str, float]:
        """The losses that training sums, with their weights."""
        camera = {"camera": 1.0} if self.memory == "camera" else {}
        clusters = {} if self.use_hsd or camera else {"cluster_contrast": 1.0}
        hsd = {"hsd": 1.0} if self.use_hsd else {}
        ppa = {"ppa": self.ppa_weight} if self.use_ppa else {}
        return {**clusters, **hsd, **ppa, **camera, **self.extra_losses}
