"""The peak memory of each stage, from the sizes of its input; the stage table names the functions.

The same function serves a stage before it starts, with the sizes at hand, and a batch system before
the run, with sizes estimated from the index (`mprd.stages.needs`). The formulas of the parts are in
`mprd.system.ram`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType

from mprd.artifacts.workbench import give_way, resident
from mprd.config import Config
from mprd.pipeline.stages import stage
from mprd.system.ram import (
    MIB,
    cluster_bytes,
    evaluation_bytes,
    graph_bytes,
    inference_bytes,
    judge_bytes,
    pixels_bytes,
    ranks_bytes,
    relation_bytes,
    require,
    time_bytes,
    training_bytes,
    transitions_bytes,
    usable,
)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the memory of a stage depends on beside the config; 0: does not apply.

    Attributes:
        images: images that the stage works on (N).
        dim: embedding size (D).
        cameras: number of cameras.
        stored: distances in the graph.
        neighbors: neighbours of an image in the graph.
        queries: query images, which are among `images`.
        pixels: bytes of the images held in memory.
        largest: bytes of the largest feature map of a batch; 0 on a GPU.
        activations: bytes of all feature maps of an image in training; 0 on a GPU.
        weights: bytes of the network.
        threads: worker threads.
        torch: torch is loaded in the process.
    """

    images: int
    dim: int = 0
    cameras: int = 0
    stored: int = 0
    neighbors: int = 0
    queries: int = 0
    pixels: int = 0
    largest: int = 0
    activations: int = 0
    weights: int = 0
    threads: int = 0
    torch: bool = False


def stage_memory(name: str, sizes: Sizes, config: Config) -> int:
    """Return the peak of a stage's process in bytes; 0 for a stage that takes little.

    Args:
        name: of the stage.
        sizes: of its input.
        config: of the run.
    """
    function = _FUNCTIONS.get(stage(name).memory)
    return function(sizes, config) if function else 0


def require_memory(name: str, sizes: Sizes, config: Config, advice: str = "") -> None:
    """Check that there is memory for a stage, and say on standard error what it needs.

    What stays in memory from stage to stage counts too, and goes where the stage needs the room.

    Args:
        name: of the stage.
        sizes: of its input.
        config: of the run.
        advice: what a user can do where memory is too small; default that of the stage table.

    Raises:
        UserError: more is needed than is free.
    """
    need = stage_memory(name, sizes, config)
    if resident() and need + _kept_beside(sizes) > usable():
        give_way()
    require(name, need + _kept_beside(sizes), advice or stage(name).advice)


def _kept_beside(sizes: Sizes) -> int:
    """Return what stays in memory beside a stage that counts the images it uses itself."""
    return max(0, resident() - sizes.pixels)


def formulas(name: str) -> list[str]:
    """Return the formulas of `mprd.system.ram` that a function of this module uses, for the docs.

    Args:
        name: of the function in the stage table.
    """
    waiting, found = [_FUNCTIONS[name].__name__], list[str]()
    while waiting:
        for word in globals()[waiting.pop()].__code__.co_names:
            if word.endswith("_bytes"):
                found.append(word)
            elif isinstance(globals().get(word), FunctionType) and word.startswith("_"):
                waiting.append(word)
    return sorted(set(found))


def _pixels(sizes: Sizes, config: Config) -> int:
    return pixels_bytes(sizes.images, config.data.height, config.data.width)


def _warm_up(sizes: Sizes, config: Config) -> int:
    if config.init.method != "warmup":
        return 4 * sizes.weights
    return _training(sizes, 2 * config.init.warmup.batch_size)


def _embed(sizes: Sizes, config: Config) -> int:
    return inference_bytes(sizes.largest, sizes.pixels, 4 * sizes.images * sizes.dim)


def _graph(sizes: Sizes, config: Config) -> int:
    settings = config.graph
    return graph_bytes(
        sizes.images,
        sizes.dim,
        settings.k1,
        centred=settings.cameras != "none",
        ivf_threads=sizes.threads if settings.backend == "ivf" else 0,
        torch_block=settings.search_memory_mb * MIB if sizes.torch else -1,
    )


def _cluster(sizes: Sizes, config: Config) -> int:
    community = config.cluster.method != "dbscan"
    return cluster_bytes(sizes.images, sizes.stored, sizes.neighbors, community=community)


def _transitions(sizes: Sizes, config: Config) -> int:
    return transitions_bytes(sizes.images, sizes.stored)


def _ranks(sizes: Sizes, config: Config) -> int:
    return ranks_bytes(sizes.images, sizes.dim, sizes.cameras)


def _judge(sizes: Sizes, config: Config) -> int:
    return judge_bytes(sizes.images, sizes.dim, sizes.cameras, sizes.stored)


def _train(sizes: Sizes, config: Config) -> int:
    batch = config.train.identities * config.train.instances * (1 + config.train.use_ppa)
    copies = 4 * 4 * sizes.images * sizes.dim  # as features, as memory, and their copies
    relations = _relations(sizes, config) if config.use_gcn else 0
    means = 3 * sizes.weights if config.train.average_from else 0
    return _training(sizes, batch) + copies + relations + means


def _relate(sizes: Sizes, config: Config) -> int:
    return _embed(sizes, config) + _relations(sizes, config)


def _evaluate(sizes: Sizes, config: Config) -> int:
    gallery, reranked = sizes.images - sizes.queries, config.evaluate.rerank
    compared = evaluation_bytes(sizes.queries, gallery, sizes.dim, reranked=reranked)
    timed = time_bytes(gallery) if config.evaluate.time else 0
    return _embed(sizes, config) + compared + timed


def _training(sizes: Sizes, views: int) -> int:
    return training_bytes(sizes.activations, views, sizes.weights, sizes.pixels)


def _relations(sizes: Sizes, config: Config) -> int:
    return relation_bytes(sizes.images, sizes.dim, sizes.cameras, config.graph.k1)


_FUNCTIONS: dict[str, Callable[[Sizes, Config], int]] = {
    "pixels": _pixels,
    "init": _warm_up,
    "embed": _embed,
    "graph": _graph,
    "cluster": _cluster,
    "transitions": _transitions,
    "ranks": _ranks,
    "judge": _judge,
    "train": _train,
    "relate": _relate,
    "evaluate": _evaluate,
}
