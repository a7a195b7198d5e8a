"""The settings: the only source of defaults, ranges and meanings."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mprd.config.clusters import ClusterConfig, GraphConfig, TimeConfig
from mprd.config.data import DataConfig
from mprd.config.gcn import GcnConfig
from mprd.config.network import FeaturesConfig, InitConfig, ModelConfig
from mprd.config.section import DEVICE, Probability, Section
from mprd.config.untrained import require_network, without_epochs


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


class EvaluateConfig(Section):
    """Retrieval metrics on query and gallery."""

    every: int = Field(
        10, ge=0, description="evaluate every so many epochs, and after the last; 0: only the last"
    )
    baselines: tuple[str, ...] = Field(
        (),
        description="descriptors to evaluate for comparison: random (an untrained CNN), histogram "
        "(plain colours)",
    )
    flip: bool = Field(False, description="add the embedding of the mirrored image")
    rerank: bool = Field(False, description="k-reciprocal re-ranking (k1=20, k2=6, lambda=0.3)")
    time: bool = Field(
        False,
        description="also measure what times at search add (`use_time`). The main figures compare "
        "appearance only",
    )


class ExportConfig(Section):
    """The final files of a run."""

    numbers: Path | None = Field(
        None,
        description="clusters.csv of an earlier run. A cluster keeps a number if it shares images "
        "with the cluster that had it; other clusters get new numbers",
    )


class Config(Section):
    """All settings of a run."""

    results: Path = Field(Path("results"), description="folder of all runs")
    seed: int = Field(0, ge=0, description="random seed")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="seeds of a sweep; empty: only `seed`"
    )
    runs: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]+$")], dict[str, Any] | None] = Field(
        {"run": {}}, description="name -> settings that differ in this variant"
    )
    device: str = Field(
        "auto",
        pattern=DEVICE,
        description="auto (a GPU if there is one), cpu, cuda or cuda:N",
    )
    processes: int = Field(
        1,
        ge=1,
        description="processes that share the work of each stage that uses the network (init, "
        "features, judge, train, evaluate, export), each on a GPU of its own if there are GPUs. "
        "Results differ from those of one process only by rounding",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="number format of the network's feature maps. auto: bfloat16 on a GPU of "
        "capability 8.0 or later, and on a CPU that has it where it is faster. Losses and stored "
        "embeddings are always float32",
    )
    epochs: int = Field(
        50,
        ge=0,
        le=999,
        description="epochs; 0: no training, only the clusters of the start features. With "
        "`data.features` there are none: leave it out",
    )
    epochs_per_job: int = Field(
        1,
        ge=1,
        description="epochs that one job runs in one process, with the same files: for a fast GPU, "
        "or a cluster where jobs wait. A change runs nothing again",
    )
    plugins: tuple[Path, ...] = Field(
        (),
        description="Python files of your own that register backbones, losses, memories, "
        "clusterings, descriptors or relation networks; see docs/howto/extend.md",
    )
    use_gcn: bool = Field(False, description="let the relation GCN predict doubtful pairs")
    use_time: bool = Field(
        False,
        description="let the times of the images speak, too: learn how long people take between "
        "cameras, and correct distances by it",
    )
    data: DataConfig = Field(default_factory=DataConfig, description="images")
    model: ModelConfig = Field(default_factory=ModelConfig, description="network")
    init: InitConfig = Field(default_factory=InitConfig, description="start of the network")
    features: FeaturesConfig = Field(
        default_factory=FeaturesConfig, description="stored embeddings"
    )
    graph: GraphConfig = Field(default_factory=GraphConfig, description="neighbour graph")
    cluster: ClusterConfig = Field(default_factory=ClusterConfig, description="clustering")
    time: TimeConfig = Field(default_factory=TimeConfig, description="evidence of time")
    augment: AugmentConfig = Field(default_factory=AugmentConfig, description="augmentation")
    train: TrainConfig = Field(default_factory=TrainConfig, description="training")
    gcn: GcnConfig = Field(default_factory=GcnConfig, description="relation GCN")
    evaluate: EvaluateConfig = Field(default_factory=EvaluateConfig, description="evaluation")
    export: ExportConfig = Field(default_factory=ExportConfig, description="final files of a run")

    @property
    def uses_judgements(self) -> bool:
        """Whether clusters are made from the judgements of the relation GCN."""
        return self.cluster.relation == "judged"

    @property
    def uses_ranks(self) -> bool:
        """Whether the ranks within cameras of an epoch are searched once and kept."""
        return self.use_gcn and self.graph.backend == "ivf"

    @property
    def learns(self) -> bool:
        """Whether the relation GCN goes on learning after each epoch."""
        return self.use_gcn and self.gcn.learn

    _no_epochs = model_validator(mode="before")(without_epochs)

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        require_network(self.data.features, self.epochs, use_gcn=self.use_gcn)
        if self.cluster.method == "linkage":
            if self.cluster.threshold > self.graph.eps_max:
                raise ValueError(
                    f"cluster.threshold ({self.cluster.threshold}) is above graph.eps_max "
                    f"({self.graph.eps_max}); linkage wants nearly all distances: 0.97"
                )
        elif self.cluster.eps > self.graph.eps_max:
            raise ValueError(
                f"cluster.eps ({self.cluster.eps}) is above graph.eps_max ({self.graph.eps_max})"
            )
        widest = self.cluster.eps + self.cluster.eps_gap * self.cluster.self_paced
        if widest > self.graph.eps_max + 1e-9:  # 0.68 + 0.02 is above 0.7 by rounding
            raise ValueError(
                f"cluster.eps + eps_gap ({widest:g}) is above graph.eps_max ({self.graph.eps_max})"
            )
        if self.processes > 1 and self.device.startswith("cuda:"):
            raise ValueError(
                f"device {self.device} is one GPU, {self.processes} processes want as many: set "
                "device to cuda"
            )
        batch, group = self.train.identities * self.train.instances, self.model.bn_group_size
        if self.processes > 1 and (group == 0 or batch % (self.processes * group)):
            raise ValueError(
                f"{self.processes} processes cannot share a batch of {batch} images: each wants "
                f"whole batch-norm groups, as many as any other, and model.bn_group_size is {group}"
            )
        if self.uses_judgements and not self.use_gcn:
            raise ValueError("cluster.relation is judged, but there is no judge: set use_gcn")
        if self.use_gcn and not (self.uses_judgements or self.train.uses_pairs):
            raise ValueError(
                "use_gcn has nothing to judge: set train.use_hsd, train.use_ppa or "
                "cluster.relation: judged"
            )
        if self.use_gcn and self.gcn.neighbors >= max(self.graph.k1, self.graph.k2):
            raise ValueError(
                f"gcn.neighbors ({self.gcn.neighbors}) must be below graph.k1 ({self.graph.k1})"
            )
        batch = self.train.identities * self.train.instances
        group = self.model.bn_group_size
        if group == 1 or (group and group < batch and batch % group):
            raise ValueError(
                f"model.bn_group_size ({group}) must be 0 or divide a batch of {batch} "
                "(train.identities x train.instances) into groups of two images or more"
            )
        if not self.runs:
            raise ValueError("runs is empty: name at least one run")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds holds a seed twice")
        return self
