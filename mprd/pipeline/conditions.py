"""The properties of a config on which stages, files and settings depend."""

from mprd.config import ClusterConfig, TrainConfig
from mprd.config.data import EXIF
from mprd.pipeline.pieces import PIECES, spelling_key
from mprd.pipeline.stage import Condition


def _has_prototypes(settings: TrainConfig) -> bool:
    """Tell whether a loss reads moving prototypes: CAP's and SpCL's own do not."""
    return settings.memory == "cluster" or (settings.memory == "camera" and settings.uses_pairs)


def _is_own(settings: TrainConfig) -> bool:
    """Tell whether training uses a user's own loss or memory, which may read any setting."""
    return bool(settings.extra_losses) or settings.memory not in PIECES["train.memory"].shipped


def _own_clustering(settings: ClusterConfig) -> bool:
    """Tell whether a user's own clustering is used, which may read any setting."""
    return settings.method not in PIECES["cluster.method"].shipped


def _clusters_by(*methods: str) -> Condition:
    """Return the condition that one of these clusterings is used, or a user's own."""
    return Condition(
        lambda c: c.cluster.method in methods or _own_clustering(c.cluster),
        f"cluster.method: {' or '.join(methods)}",
    )


SYNTHETIC = Condition(
    lambda c: spelling_key(c.data.dataset) == "synthetic", "data.dataset: synthetic"
)
NETWORK = Condition(lambda c: c.data.features is None, "a network, data.features: null")
TRAINS = Condition(lambda c: c.epochs > 0, "epochs above 0")
GIVEN = Condition(lambda c: c.data.features is not None, "data.features")
TIMES_IN_PATHS = Condition(lambda c: c.data.time not in (None, EXIF), "data.time: a pattern")
WARM_UP = Condition(lambda c: c.init.method == "warmup", "init.method: warmup")
IVF = Condition(lambda c: c.graph.backend == "ivf", "graph.backend: ivf")
USES_GCN = Condition(lambda c: c.use_gcn, "use_gcn")
USES_RANKS = Condition(lambda c: c.uses_ranks, "use_gcn, graph.backend: ivf")
USES_PREDICTIONS = Condition(lambda c: c.uses_judgements, "cluster.relation: judged")
FILTERS = Condition(
    lambda c: c.use_gcn and c.train.uses_pairs, "use_gcn, train.use_hsd or train.use_ppa"
)
FILTERS_RANKED = Condition(
    lambda c: FILTERS.holds(c) and c.uses_ranks, f"{FILTERS.words}, graph.backend: ivf"
)
LEARNS = Condition(lambda c: c.learns, "use_gcn, gcn.learn")
STRICT = Condition(lambda c: c.gcn.unlabelled.source == "strict", "gcn.unlabelled.source: strict")
USES_TIME = Condition(lambda c: c.use_time, "use_time")
TIMES_AT_SEARCH = Condition(lambda c: c.use_time and c.evaluate.time, "use_time, evaluate.time")
COMMUNITY = _clusters_by("community")
DBSCAN = _clusters_by("dbscan")
LINKAGE = _clusters_by("linkage")
RADIUS = _clusters_by("dbscan", "community")
SIZES = _clusters_by("community", "linkage")
SELF_PACED = Condition(lambda c: c.cluster.self_paced, "cluster.self_paced")
TRAINS_DECIDED = Condition(
    lambda c: c.cluster.constrain_training or _own_clustering(c.cluster),
    "cluster.constrain_training",
)
EPS_GAP = Condition(lambda c: c.cluster.self_paced or _own_clustering(c.cluster), SELF_PACED.words)
CAMERA_MEMORY = Condition(
    lambda c: c.train.memory == "camera" or _is_own(c.train), "train.memory: camera"
)
PROTOTYPES = Condition(
    lambda c: _has_prototypes(c.train) or _is_own(c.train), "train.memory: cluster"
)
HSD = Condition(lambda c: c.train.use_hsd or _is_own(c.train), "train.use_hsd")
PPA = Condition(lambda c: c.train.use_ppa or _is_own(c.train), "train.use_ppa")
