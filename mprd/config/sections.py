"""The settings: the only source of defaults, ranges and meanings."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mprd.config.clusters import ClusterConfig, GraphConfig, TimeConfig
from mprd.config.data import DataConfig
from mprd.config.gcn import GcnConfig
from mprd.config.network import FeaturesConfig, InitConfig, ModelConfig
from mprd.config.section import DEVICE, Section
from mprd.config.training import AugmentConfig, TrainConfig
from mprd.config.untrained import require_network, without_epochs

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]{1,100}$")]  # of a run: a folder


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
        description="clusters.csv of another run. A cluster keeps a number if it shares images "
        "with the cluster that had it; other clusters get new numbers. null: the numbers of the "
        "final/clusters.csv that the run replaces, where there is one",
    )


class Config(Section):
    """All settings of a run."""

    results: Path = Field(Path("results"), description="folder of all runs")
    seed: int = Field(0, ge=0, description="random seed")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="seeds of a sweep; empty: only `seed`"
    )
    runs: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]{1,100}$")], dict[str, Any] | None
    ] = Field({"run": {}}, description="name -> settings that differ in this variant")
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
    keep: Literal["last", "all"] = Field(
        "last",
        description="files of a finished run. last: epochs before the last keep clusters, reports "
        "and what an evaluation reads; their other files go (docs/howto/resume.md). all: every "
        "file of every epoch stays, for research. A change runs nothing again",
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
        if {".", ".."} & set(self.runs):
            raise ValueError("no run can be called . or ..: a run is a folder in results")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds holds a seed twice")
        return self
