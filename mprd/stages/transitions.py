"""Stage `transitions`: how long people take between cameras (`use_time`)."""

from pathlib import Path

import numpy as np

from mprd.artifacts import GRAPH, INDEX, TRANSITIONS, write_artifact
from mprd.clustering.graph_matrix import graph_distance
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.evidence.roc import roc_auc
from mprd.evidence.transitions import Transitions, learn_transitions
from mprd.pipeline.layout import log_prefix
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import Sizes, require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.system.csr import entry_rows


@exclusive
def run_transitions(*, index: Path, graph: Path, out: Path, config: Config) -> None:
    """Learn from the most similar pairs how long people take between cameras.

    Where identities are known, how well times tell pairs apart is recorded, for the eye only.

    Args:
        index: `index.h5`.
        graph: `graph.h5` of the training features.
        out: `transitions.h5` to write.
        config: of the run.

    Raises:
        UserError: an input is missing, damaged or of another run; too little memory.
    """
    lineage = Lineage("transitions")
    images = lineage.read("index", index, INDEX, ("split", "identity", "camera", "time", "track"))
    neighbors = lineage.read("graph", graph, GRAPH, ("indptr", "indices", "data"))
    rows = split_rows(images, "train")
    sizes = Sizes(images=len(rows), stored=len(neighbors["indices"]))
    require_memory("transitions", sizes, config)
    times, cameras = images["time"][rows], images["camera"][rows]
    distance = graph_distance(neighbors)
    tracks = TrackGroups.of_tracks(images["track"][rows])
    counted = np.full(len(times), np.nan)  # of a track its first image only
    counted[tracks.first] = times[tracks.first]
    found = learn_transitions(counted, cameras, distance)
    timed = int(np.isfinite(times).sum())
    write_artifact(
        out,
        TRANSITIONS,
        {
            name: getattr(found, name)
            for name in ("edges", "log_ratio", "seeds", "background", "evidence")
        },
        config=stage_settings(config, "transitions"),
        inputs={**neighbors.inputs, **lineage.digests},
        attributes={
            "unit": images.attributes["time_unit"],
            "gain": found.gain,
            "error": found.error,
            "auc": _auc(
                found, distance.indptr, distance.indices, images["identity"][rows], cameras
            ),
            "num_timed": timed,
        },
    )
    print(f"{log_prefix(out)}{_summary(found, timed, len(rows))}")


def _summary(found: Transitions, timed: int, count: int) -> str:
    if not timed:
        return "no image has a time: times are not used"
    if not found.informative:
        return "the times tell nothing about who is who: they are not used"
    share = "" if timed == count else f" ({timed} of {count} images have a time)"
    return f"times speak for probable pairs by {found.gain:.2f} +- {found.error:.2f}{share}"


def _auc(
    found: Transitions,
    indptr: np.ndarray,
    indices: np.ndarray,
    identities: np.ndarray,
    cameras: np.ndarray,
) -> float:
    """Return how well evidence tells stored pairs of two cameras apart; NaN: unknown."""
    rows = entry_rows(indptr)
    chosen = (rows < indices) & (cameras[rows] != cameras[indices])
    chosen &= (identities[rows] >= 0) & (identities[indices] >= 0)
    same = identities[rows[chosen]] == identities[indices[chosen]]
    return roc_auc(same, found.evidence[chosen]) if found.informative else float("nan")
