"""What was run, and what came out."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mprd.artifacts import SPLITS
from mprd.config import Config
from mprd.report.page.blocks import Section, Table, Tiles
from mprd.report.page.run_data import RunData, created

# Where and how it was computed, and what other runs there are.
_NOT_OF_THE_RUN = ("results", "runs", "seeds", "device", "epochs_per_job")
_FAISS = ("faiss-cpu", "faiss-gpu", "faiss")  # of PyPI, and of conda
_PACKAGES = ("mprd", "torch", "torchvision", "torch-geometric", *_FAISS, "snakemake")


def overview(run: RunData) -> Section:
    """Return data, result, settings that differ from the defaults, and versions."""
    return Section(
        "overview",
        "Overview",
        "",
        (
            Tiles(list(_tiles(run))),
            Table(("data", ""), list(_data(run))),
            Table(("made with", "version"), list(_versions())),
            Table(("setting", "here", "default"), differing_settings(run.config)),
        ),
    )


def _versions() -> Iterator[tuple[str, str]]:
    """Yield the packages that are there: faiss is one of several."""
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def _tiles(run: RunData) -> Iterator[tuple[str, str]]:
    labels = run.labels
    yield "images", f"{len(labels):,}"
    yield "clusters", f"{labels.max(initial=-1) + 1:,}"
    yield "outliers", f"{(labels < 0).mean():.0%}"
    yield "self-agreement", _number(run.clusters.attributes["health"], "{:.2f}")
    last = run.last
    for name, key in (("mAP", "mAP"), ("rank-1", "rank1")):
        if pd.notna(last[key]):
            yield name, f"{100 * last[key]:.1f}"
    pair = run.clusters.attributes["pair_f1"]
    if not np.isnan(pair):
        yield "pair F1", f"{pair:.2f}"


def _data(run: RunData) -> Iterator[tuple[str, str]]:
    index = run.index
    yield "data set", str(index.attributes["dataset"])
    yield "folder", str(index.attributes["root"])
    for split in SPLITS:
        yield f"{split} images", f"{int(index.attributes[f'num_{split}']):,}"
    names = run.camera_names
    yield "cameras", f"{len(names)}: {', '.join(names)}" if names else "unknown"
    identities = np.unique(run.identity[run.identity >= 0])
    known = f"{len(identities):,} (only for the metrics on this page, never for training)"
    yield "identities", known if len(identities) else "unknown"
    height, width = run.thumbnails.shape
    yield "resized to", f"{height}x{width} pixels"
    yield "seed", str(run.config.seed)
    yield "epochs", str(run.config.epochs)
    yield "images listed", created(run.layout.index)
    yield "finished", created(run.layout.final.clusters)


def differing_settings(config: Config) -> list[tuple[str, str, str]]:
    """Return (key, value, default) of each setting that is not the default."""
    defaults = flat_settings(Config())
    return [
        (key, value, defaults.get(key, ""))
        for key, value in flat_settings(config).items()
        if value != defaults.get(key)
    ]


def flat_settings(config: Config) -> dict[str, str]:
    """Return dotted key -> value, as in YAML, of the settings that decide what a run computes."""
    return {
        key: _yaml(value)
        for key, value in _flat(json.loads(config.model_dump_json()))
        if key.split(".")[0] not in _NOT_OF_THE_RUN
    }


def _yaml(value: Any) -> str:
    """Return a value as it is written in a config file."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _number(value: float, form: str) -> str:
    return "unknown" if np.isnan(value) else form.format(value)
