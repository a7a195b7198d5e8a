"""The settings of pseudo-labels: the neighbour graph and its clusters."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mprd.config.section import Section


class GraphConfig(Section):
    """Neighbours and the k-reciprocal Jaccard distance."""

    k1: int = Field(30, ge=2, description="neighbours, the image itself included")
    k2: int = Field(6, ge=1, description="neighbours of the query expansion; 1 = none")
    eps_max: float = Field(0.7, gt=0, lt=1, description="larger distances are not stored")
    cameras: Literal["none", "center", "standardize"] = Field(
        "none",
        description="correct embeddings for their camera before comparing them. none: do not (the "
        "papers); center: subtract the mean of the camera; standardize: also divide by its "
        "deviation. Helps if cameras differ in light and view",
    )
    backend: Literal["auto", "faiss", "torch", "ivf"] = Field(
        "auto",
        description="neighbour search. faiss, torch: exact; auto: torch on a GPU, else faiss; ivf: "
        "approximate (an inverted file), for too many images for an exact search. With the extra "
        "`gpu` faiss and ivf use a GPU, too (docs/howto/gpu.md)",
    )
    min_recall: float = Field(
        0.95,
        gt=0,
        le=1,
        description="ivf: share of the true neighbours to find; measured on a sample",
    )
    search_memory_mb: int = Field(
        128,
        ge=1,
        description="exact search: memory for a block of similarities, MiB, without the embeddings",
    )


class ClusterConfig(Section):
    """Pseudo-labels from the Jaccard distance."""

    method: str = Field(
        "dbscan",
        description="dbscan; community (Leiden, weighs all pairs of a cluster); linkage (average "
        "linkage, joins clusters by the mean of all their distances); or your own",
    )
    relation: Literal["jaccard", "judged"] = Field(
        "jaccard",
        description="distance of a stored pair. jaccard: Jaccard distance; judged: 1 - p, where p "
        "is the prediction of the relation GCN (`use_gcn`)",
    )
    gamma: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] = Field(
        0.1,
        description="community: mean relation (1 - distance, or p) that the pairs of a cluster "
        "must reach. Pairs with a Jaccard distance above eps count 0. auto: in each epoch the "
        "strictest value that keeps the confident pairs of two cameras together",
    )
    threshold: float = Field(
        0.8,
        gt=0,
        lt=1,
        description="linkage: largest mean distance of two clusters that are joined. Pairs that "
        "the graph does not store count 1, so graph.eps_max should be near 1",
    )
    min_size: int = Field(
        4, ge=2, description="community, linkage: images in smaller clusters are outliers"
    )
    eps: float = Field(
        0.6,
        gt=0,
        lt=1,
        description="dbscan, community: larger distances do not count; at most graph.eps_max",
    )
    min_samples: int = Field(
        4, ge=1, description="neighbours within eps that a core image needs, itself included"
    )
    widen_step: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="if there are fewer than two clusters, eps grows by this step (up to "
        "graph.eps_max), with a warning; 0: stop with an error",
    )

    self_paced: bool = Field(
        False,
        description="keep only members that SpCL's criterion finds reliable (dbscan): the cluster "
        "stays separate at a looser radius, and the member stays in it at a tighter one",
    )
    eps_gap: float = Field(
        0.02, gt=0, description="self_paced: how much looser and tighter these radii are"
    )

    constraints: Path | None = Field(
        None,
        description="decisions of people on these images: the decisions.csv of another run, or a "
        "CSV `path_a,path_b,same` (1 or 0). The final clusters agree with them and with what "
        "follows from them. The run's own decisions.csv counts without being named here",
    )
    constrain_training: bool = Field(
        False,
        description="also train on clusters that agree with `constraints`: new decisions there "
        "then start all epochs again. False: they change the final clusters only, in seconds",
    )

    @model_validator(mode="after")
    def _has_radii(self) -> "ClusterConfig":
        if self.self_paced and (self.method != "dbscan" or self.relation != "jaccard"):
            raise ValueError("self_paced compares three radii: it needs method dbscan on jaccard")
        if self.self_paced and self.widen_step:
            raise ValueError("self_paced compares three fixed radii: set widen_step to 0")
        if self.self_paced and self.eps_gap >= self.eps:
            raise ValueError(f"eps_gap ({self.eps_gap}) must be below eps ({self.eps})")
        return self

    @model_validator(mode="after")
    def _has_constraints(self) -> "ClusterConfig":
        if self.constrain_training and self.constraints is None:
            raise ValueError("constrain_training needs a file of decisions: set constraints")
        return self

    @model_validator(mode="after")
    def _weighs_pairs(self) -> "ClusterConfig":
        if self.relation == "judged" and self.method == "dbscan":
            raise ValueError(
                "relation is judged, but dbscan does not weigh pairs: set method to community"
            )
        return self

    @model_validator(mode="after")
    def _has_gamma(self) -> "ClusterConfig":
        if self.gamma == "auto" and self.method in ("dbscan", "linkage"):
            raise ValueError(f"gamma is auto, but method {self.method} has no gamma")
        return self

    @model_validator(mode="after")
    def _widens_a_radius(self) -> "ClusterConfig":
        if self.widen_step and self.method == "linkage":
            raise ValueError("widen_step widens eps, which linkage does not read: set it to 0")
        return self


class TimeConfig(Section):
    """What the times of two images say about them (`use_time`)."""

    weight: float = Field(
        0.12,
        gt=0,
        le=1,
        description="how much the evidence of time changes a distance: distance - weight x log "
        "ratio",
    )
    most: float = Field(3.0, gt=0, description="log ratios beyond this, either way, count as this")
