"""Stage `evaluate`: retrieval figures on query and gallery."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mprd.artifacts import INDEX, RANKINGS, TRANSITIONS, Artifact, write_artifact, write_json
from mprd.config import Config, TimeConfig
from mprd.data.index import split_rows, trained_cameras
from mprd.errors import UserError
from mprd.evidence.fusion import correction
from mprd.evidence.lookup import time_evidence
from mprd.evidence.transitions import Transitions
from mprd.evidence.travel import stored_transitions
from mprd.inference.network import network_descriptor
from mprd.inference.registry import DESCRIPTORS
from mprd.pipeline.files import require_given
from mprd.pipeline.layout import log_prefix
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import Sizes, require_memory
from mprd.pipeline.settings import stage_settings
from mprd.retrieval.evaluation import Evaluation, evaluate
from mprd.retrieval.reranking import rerank
from mprd.stages.exclusive import exclusive
from mprd.stages.network_inputs import open_images, read_model
from mprd.system import group
from mprd.system.ram import held_pixels
from mprd.system.torch_setup import select_device

_TOP = 50


@exclusive
def run_evaluate(
    *,
    index: Path,
    pixels: Path,
    out: Path,
    rankings: Path,
    config: Config,
    model: Path | None = None,
    transitions: Path | None = None,
    baseline: str | None = None,
) -> None:
    """Evaluate a model or a baseline; write figures (JSON) and per-query rankings (HDF5).

    A data set without query or gallery images gives a report that says so, with empty figures.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        out: JSON to write.
        rankings: HDF5 to write.
        config: of the run.
        model: `model.safetensors`; give this or `baseline`.
        transitions: `transitions.h5` of the epoch (`evaluate.time`): also measure with what the
            times of query and gallery image say. None: appearance only.
        baseline: a registered descriptor, such as `random` (untrained network) or `histogram`.

    Raises:
        UserError: an input is missing, damaged or of another run; unknown baseline; too little
            memory.
    """
    if (model is None) == (baseline is None):
        raise UserError("Give either --model or --baseline.")
    lineage = Lineage("evaluate")
    artifact = lineage.read("index", index, INDEX)
    device = select_device(config.device)
    query, gallery = split_rows(artifact, "query"), split_rows(artifact, "gallery")
    store = open_images(lineage, pixels, artifact, np.concatenate([query, gallery]), device)
    require_given("evaluate", {"transitions": transitions}, config)
    learnt = None
    if transitions is not None:
        found = lineage.read("transitions", transitions, TRANSITIONS)
        learnt = stored_transitions(found.arrays, found.attributes)
    advice = ""
    if model is not None:
        network = read_model(lineage, model, config.precision)
        descriptor = network_descriptor(
            network, store, flip=config.evaluate.flip, batch=config.features.batch
        )
    else:
        descriptor = DESCRIPTORS[str(baseline)](config, store)
        advice = f"Leave {baseline} out of evaluate.baselines."
    sizes = Sizes(
        images=len(store),
        queries=len(query),
        dim=descriptor.dim,
        largest=descriptor.largest_map,
        pixels=held_pixels(store.size),
    )
    require_memory("evaluate", sizes, config, advice)
    inputs = lineage.digests
    report: dict[str, Any] = {"schema": "mprd.evaluation", "inputs": inputs}
    embedded = descriptor.embed(store)
    if not group.writes():
        return
    rerank_on = config.device if config.evaluate.rerank else None
    sides = _Sides(embedded, artifact, query, gallery, rerank_on)
    result, tables = _evaluate(sides)
    write_artifact(
        rankings,
        RANKINGS,
        {"query_row": query if result else query[:0], **tables},
        config=stage_settings(config, "evaluate"),
        inputs=inputs,
        seed=config.seed,
    )
    report |= _figures(result, len(query), log_prefix(out))
    if result is not None and learnt is not None:
        report["with_time"] = _with_times(sides, learnt, config.time, log_prefix(out))
    write_json(out, report)


@dataclass(frozen=True)
class _Sides:
    """Queries and gallery.

    Attributes:
        features: float32 (Q + G, D), of the queries, then of the gallery.
        index: of the data set.
        query: int64 (Q,), rows of the index.
        gallery: int64 (G,).
        rerank_on: device of the re-ranking; None: the distances are not re-ranked.
    """

    features: np.ndarray
    index: Artifact
    query: np.ndarray
    gallery: np.ndarray
    rerank_on: str | None

    @cached_property
    def distance(self) -> np.ndarray | None:
        """The re-ranked distances, if these are wanted."""
        count = len(self.query)
        if self.rerank_on is None:
            return None
        return rerank(self.features[:count], self.features[count:], device=self.rerank_on)

    def evaluate(self, **options: Any) -> Evaluation:
        """Return the result; `options` as of `mprd.evaluate`."""
        identity, camera = self.index["identity"], self.index["camera"]
        count = len(self.query)
        return evaluate(
            self.features[:count],
            identity[self.query],
            camera[self.query],
            self.features[count:],
            identity[self.gallery],
            camera[self.gallery],
            distance=self.distance,
            **options,
        )


def _evaluate(sides: _Sides) -> tuple[Evaluation | None, dict[str, np.ndarray]]:
    """Return the result (None: nothing to evaluate) and the arrays of `rankings.h5`."""
    gallery = sides.gallery
    if not _can_evaluate(sides.index["identity"], sides.index["camera"], sides.query, gallery):
        print("No query with a match in the gallery: evaluation is skipped.")
        return None, {
            "average_precision": np.empty(0, np.float32),
            "first_hit_rank": np.empty(0, np.int32),
            "gallery_row": np.empty((0, _TOP), np.int64),
            "distance": np.empty((0, _TOP), np.float32),
        }
    result = sides.evaluate(top=_TOP)
    rows = np.where(result.top >= 0, gallery[np.maximum(result.top, 0)], -1)
    return result, {
        "average_precision": result.average_precision.astype(np.float32),
        "first_hit_rank": result.first_hit_rank,
        "gallery_row": rows.astype(np.int64),
        "distance": np.maximum(result.top_distance, 0),
    }


def _with_times(
    sides: _Sides, learnt: Transitions, settings: TimeConfig, of: str
) -> dict[str, Any]:
    """Return the figures with times at search. Cameras without training images say nothing."""
    times, cameras = sides.index["time"], trained_cameras(sides.index, sides.index["camera"])
    query, gallery = sides.query, sides.gallery

    def what_times_say(block: slice) -> np.ndarray:
        rows = query[block, None]
        return correction(
            time_evidence(learnt, times[rows], cameras[rows], times[gallery], cameras[gallery]),
            settings,
        )

    result = sides.evaluate(correction=what_times_say)
    told = np.isfinite(times[query]) & (cameras[query] >= 0) & (result.first_hit_rank > 0)
    timed = int(told.sum()) if learnt.informative else 0
    why = "" if learnt.informative else ": the times tell nothing about who is who"
    print(
        f"{of}with times at search: {_line(result)} "
        f"({timed} of {result.num_valid_queries} queries have a time and a known camera{why})"
    )
    return _metrics(result) | {"num_timed_queries": timed}


def _can_evaluate(
    identity: np.ndarray, camera: np.ndarray, query: np.ndarray, gallery: np.ndarray
) -> bool:
    """Tell whether some query has an image of its identity in another (or unknown) camera."""
    known = query[identity[query] >= 0]
    seen: dict[int, set[int]] = {}
    for who, where in zip(identity[gallery].tolist(), camera[gallery].tolist(), strict=True):
        seen.setdefault(who, set()).add(where)
    return any(
        seen.get(who, set()) - ({where} if where >= 0 else set())
        for who, where in zip(identity[known].tolist(), camera[known].tolist(), strict=True)
    )


def _figures(result: Evaluation | None, queries: int, of: str) -> dict[str, Any]:
    if result is None:
        return {"skipped": "no query with a match in the gallery", "num_queries": queries}
    print(f"{of}{_line(result)}")
    return {
        "skipped": None,
        **_metrics(result),
        "num_queries": queries,
        "num_valid_queries": result.num_valid_queries,
    }


def _line(result: Evaluation) -> str:
    ranks = "  ".join(f"rank-{rank} {100 * value:.1f}" for rank, value in result.cmc.items())
    return f"mAP {100 * result.map:.1f}  {ranks}"


def _metrics(result: Evaluation) -> dict[str, float]:
    ranks = {f"rank{rank}": value for rank, value in result.cmc.items()}
    return {"mAP": result.map, **ranks, "mINP": result.minp}
