"""Stage `evaluate`: retrieval figures on query and gallery."""

from pathlib import Path
from typing import Any

import numpy as np

from mprd.artifacts import INDEX, RANKINGS, Artifact, write_artifact, write_json
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.errors import UserError
from mprd.inference.network import network_descriptor
from mprd.inference.registry import DESCRIPTORS
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
    advice = ""
    if model is not None:
        network = read_model(lineage, model, config.precision)
        descriptor = network_descriptor(network, store, flip=config.evaluate.flip)
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
    result, tables = _evaluate(embedded, artifact, query, gallery, config.evaluate.rerank)
    write_artifact(
        rankings,
        RANKINGS,
        {"query_row": query if result else query[:0], **tables},
        config=stage_settings(config, "evaluate"),
        inputs=inputs,
        seed=config.seed,
    )
    write_json(out, report | _figures(result, len(query), log_prefix(out)))


def _evaluate(
    features: np.ndarray, index: Artifact, query: np.ndarray, gallery: np.ndarray, reranked: bool
) -> tuple[Evaluation | None, dict[str, np.ndarray]]:
    """Return the result (None: nothing to evaluate) and the arrays of `rankings.h5`."""
    identity, camera = index["identity"], index["camera"]
    if not _can_evaluate(identity, camera, query, gallery):
        print("No query with a match in the gallery: evaluation is skipped.")
        return None, {
            "average_precision": np.empty(0, np.float32),
            "first_hit_rank": np.empty(0, np.int32),
            "gallery_row": np.empty((0, _TOP), np.int64),
            "distance": np.empty((0, _TOP), np.float32),
        }
    sides = (
        features[: len(query)],
        identity[query],
        camera[query],
        features[len(query) :],
        identity[gallery],
        camera[gallery],
    )
    distance = rerank(sides[0], sides[3]) if reranked else None
    result = evaluate(*sides, distance=distance, top=_TOP)
    rows = np.where(result.top >= 0, gallery[np.maximum(result.top, 0)], -1)
    return result, {
        "average_precision": result.average_precision.astype(np.float32),
        "first_hit_rank": result.first_hit_rank,
        "gallery_row": rows.astype(np.int64),
        "distance": np.maximum(result.top_distance, 0),
    }


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
    print(
        f"{of}mAP {100 * result.map:.1f}  "
        + "  ".join(f"rank-{rank} {100 * value:.1f}" for rank, value in result.cmc.items())
    )
    return {
        "skipped": None,
        "mAP": result.map,
        **{f"rank{rank}": value for rank, value in result.cmc.items()},
        "mINP": result.minp,
        "num_queries": queries,
        "num_valid_queries": result.num_valid_queries,
    }
