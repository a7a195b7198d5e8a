"""Settings that are given but that no run reads, so that a user learns of it before the run."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from mprd.config import Config
from mprd.pipeline.conditions import NETWORK, TRAINS, USES_GCN
from mprd.pipeline.stage import Condition, Setting
from mprd.pipeline.stages import STAGES

# They say where results lie, how they are computed, or which stages there are.
_OF_THE_WORKFLOW = {"results", "seeds", "runs", "device", "processes", "features.batch"}
_OF_THE_WORKFLOW |= {"epochs_per_job", "graph.search_memory_mb", "epochs", "use_gcn", "plugins"}
_OF_THE_WORKFLOW |= {"keep"}
# They switch a stage on or off, or say how fast it is, and no stage reads them.
_SWITCHES = {"gcn.learn": USES_GCN, "train.step_graph": TRAINS}
_EVERYTHING = "report"  # a page of all settings is no use of them


def idle_settings(configs: Sequence[Config]) -> list[str]:
    """Return a sentence for each setting that was given and that none of the runs reads.

    Settings that say the default are passed over: they may be there to be seen.

    Args:
        configs: the runs of one file.
    """
    given = sorted({key for config in configs for key in _changed(config, type(config)(), "")})
    read = {key for config in configs for key in _keys_read(config)} | _OF_THE_WORKFLOW
    idle = [
        f"{key} has no effect: no run reads it (it needs {_needs(key, configs)})"
        for key in given
        if not any(_within(key, one) for one in read)
    ]
    return idle + _too_late(configs)


def _too_late(configs: Sequence[Config]) -> list[str]:
    """Return a sentence if no run has an epoch after that from which weights are averaged."""
    given = [config for config in configs if config.train.average_from and config.epochs]
    if not given or any(config.train.epochs_averaged(config.epochs) for config in given):
        return []
    last = max(config.epochs for config in given)
    return [
        f"train.average_from has no effect: a mean begins with the epoch after it, and the last "
        f"epoch is {last}"
    ]


def _keys_read(config: Config) -> Iterator[str]:
    for stage in STAGES:
        if stage.exists(config) and stage.name != _EVERYTHING:
            yield from stage.keys(config, final=True)
    yield from (key for key, condition in _SWITCHES.items() if condition.holds(config))


def _needs(key: str, configs: Sequence[Config]) -> str:
    """Return what a user sets for a key to be read; first of all a network, then training."""
    found = list(_conditions(key))
    if not found:
        raise ValueError(f"no stage reads {key}")
    if TRAINS in found:
        found.append(NETWORK)
    lacking = [c for c in (NETWORK, TRAINS) if not any(c.holds(config) for config in configs)]
    return next((one for one in lacking if one in found), found[0]).words


def _conditions(key: str) -> Iterator[Condition]:
    if key in _SWITCHES:
        yield _SWITCHES[key]
    for stage in STAGES:
        if stage.name == _EVERYTHING:
            continue
        for entry in stage.settings:
            own = entry.when if isinstance(entry, Setting) else None
            keys = entry.keys if isinstance(entry, Setting) else (entry,)
            if any(_within(key, one) for one in keys):
                yield from filter(None, (own, stage.when))


def _within(key: str, prefix: str) -> bool:
    return key == prefix or key.startswith(f"{prefix}.")


def _changed(value: Any, default: Any, key: str) -> Iterator[str]:
    """Yield the keys whose value is not the default."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            below = f"{key}.{name}" if key else name
            yield from _changed(getattr(value, name), getattr(default, name), below)
    elif value != default:
        yield key
