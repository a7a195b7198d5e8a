"""Settings that are given but that no run reads, so that a user learns of it before the run."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from mprd.config import Config, TrainConfig
from mprd.pipeline.settings import is_synthetic


class _Reader(NamedTuple):
    """Who reads settings: under which config, and what to set for it, in words."""

    reads: Callable[[Config], bool]
    needs: str


_COMMUNITY = _Reader(lambda c: c.cluster.method != "dbscan", "cluster.method: community")
_CAMERA = _Reader(lambda c: c.train.memory == "camera", "train.memory: camera")
_IVF = _Reader(lambda c: c.graph.backend == "ivf", "graph.backend: ivf")
_HSD = _Reader(lambda c: c.train.use_hsd, "train.use_hsd")
_PPA = _Reader(lambda c: c.train.use_ppa, "train.use_ppa")

# A section stands for all its keys.
READERS: dict[str, _Reader] = {
    "cluster.gamma": _COMMUNITY,
    "cluster.min_samples": _Reader(
        lambda c: c.cluster.method != "community" or c.gcn.unlabelled.source == "strict",
        "cluster.method: dbscan",
    ),
    "cluster.eps_gap": _Reader(lambda c: c.cluster.self_paced, "cluster.self_paced"),
    "cluster.min_size": _COMMUNITY,
    "data.synthetic": _Reader(is_synthetic, "data.dataset: synthetic"),
    "gcn": _Reader(lambda c: c.use_gcn, "use_gcn"),
    "graph.min_recall": _IVF,
    "init.warmup": _Reader(lambda c: c.init.method == "warmup", "init.method: warmup"),
    "train.across_weight": _CAMERA,
    "train.hard_proxies": _CAMERA,
    "train.hsd_margin": _HSD,
    "train.hsd_mix": _HSD,
    "train.memory_update": _Reader(lambda c: _has_prototypes(c.train), "train.memory: cluster"),
    "train.ppa_mix": _PPA,
    "train.ppa_weight": _PPA,
}


def _has_prototypes(settings: TrainConfig) -> bool:
    """Tell whether a loss reads moving prototypes: CAP's and SpCL's own do not."""
    beside = settings.uses_pairs or bool(settings.extra_losses)
    return settings.memory != "hybrid" and (settings.memory != "camera" or beside)


def idle_settings(configs: Sequence[Config]) -> list[str]:
    """Return a sentence for each setting that was given and that none of the runs reads.

    Settings that say the default are passed over: they may be there to be seen.

    Args:
        configs: the runs of one file.
    """
    return [
        f"{key} has no effect: no run reads it (it needs {reader.needs})"
        for prefix, reader in READERS.items()
        if not any(reader.reads(config) for config in configs)
        for key in sorted({key for config in configs for key in _given(config, prefix)})
    ]


def _given(config: Config, prefix: str) -> Iterator[str]:
    """Yield the keys below a prefix whose value is not the default."""
    value: Any = config
    default: Any = type(config)()
    for part in prefix.split("."):
        value, default = getattr(value, part), getattr(default, part)
    yield from _changed(value, default, prefix)


def _changed(value: Any, default: Any, key: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _changed(getattr(value, name), getattr(default, name), f"{key}.{name}")
    elif value != default:
        yield key
