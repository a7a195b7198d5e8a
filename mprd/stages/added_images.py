"""The added images of a run, given to its clusters as they are now."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, Artifact, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.config import Config
from mprd.data.added import Added, made_from, nobody, stored, waiting_words
from mprd.data.index import split_rows
from mprd.decisions.entry import Decision
from mprd.decisions.log import in_effect, read_decisions
from mprd.decisions.reading import matched
from mprd.decisions.seen import numbers_if_sound, read_numbers
from mprd.errors import UserError, say
from mprd.pipeline.layout import FinalLayout, RunLayout

if TYPE_CHECKING:  # slow to load
    from mprd.inference.placing import Compared


@dataclass(frozen=True)
class RunEnd:
    """A finished run, as images are given to its clusters.

    Attributes:
        layout: its layout.
        config: its config.
        index: its images.
        clusters: its final clusters.
        features: float32 (N, D), of its training images.
    """

    layout: RunLayout
    config: Config
    index: Artifact
    clusters: Artifact
    features: np.ndarray

    @classmethod
    def read(cls, layout: RunLayout, config: Config) -> "RunEnd":
        """Read the files of a finished run."""
        index = read_artifact(layout.index, INDEX)
        clusters = read_artifact(layout.final.clusters, CLUSTERS)
        features = read_artifact(layout.final.features, FEATURES)["features"]
        return cls(layout, config, index, clusters, features)


def placed_again(run: RunLayout, index: Artifact, clusters: Artifact, config: Config) -> Added:
    """Give the added images of a run to its clusters as they are now, and write them.

    Args:
        run: its layout.
        index: of the run.
        clusters: its final clusters.
        config: of the run.

    Returns:
        The images; none, with a note, if the features of the run are others now.

    Raises:
        UserError: decisions contradict each other.
    """
    added, inputs = stored(run.final)
    wanted = made_from(clusters)
    if not len(added):
        return added
    if {**inputs, "clusters": ""} != {**wanted, "clusters": ""}:
        say(f"note: {waiting_words(run, len(added))}")
        return nobody()
    from mprd.inference.placing import Compared  # slow to load

    features = read_artifact(run.final.features, FEATURES)["features"]
    end = RunEnd(run, config, index, clusters, features)
    return place(end, added, Compared.of(index, features, added, config))


def place(end: RunEnd, added: Added, compared: "Compared") -> Added:
    """Give images to the clusters of a run, and write them; as `placed_again`.

    Args:
        end: of the run.
        added: the images, with their pairs.
        compared: they and those of the run, as they are compared.
    """
    from mprd.inference.placing import Placing  # slow to load
    from mprd.inference.run_times import RunTimes

    run, index, clusters = end.layout, end.index, end.clusters
    times = RunTimes(run) if end.config.use_time else None
    placing = Placing(index, clusters, added, compared, end.config, times)
    decisions = decisions_of(run, placing.paths)
    shown, following = _shown(run, index, clusters, added), free_number(run, clusters, added)
    columns, following = placing.placed(decisions, shown, following)
    done = Added({**added.arrays, **columns}, following, added.places)
    done.write(run, made_from(clusters))
    return done


def decisions_of(run: RunLayout, paths: list[str]) -> list[Decision]:
    """Return the decisions of a run that hold, on some images."""
    if not run.decisions.is_file():
        return []
    return matched(in_effect(read_decisions(run.decisions)), paths)[0]


def _shown(run: RunLayout, index: Artifact, clusters: Artifact, added: Added) -> dict[str, int]:
    """Return the number of the cluster of each image that people have seen last."""
    own = map(str, index["path"][split_rows(index, "train")])
    numbers = numbers_of(clusters["labels"], clusters["number"])
    found = dict(zip(own, numbers.tolist(), strict=True))
    found |= dict(zip(added.paths, added["number"].tolist(), strict=True))
    table = numbers_if_sound(run.final.table)
    if table is not None:
        found |= dict(zip(table.index, table.tolist(), strict=True))
    return found


def free_number(run: RunLayout, clusters: Artifact, added: Added) -> int:
    """Return a number that no cluster of a run has or had, nor any above it.

    Args:
        run: its layout; the tables that were replaced count, too.
        clusters: its final clusters.
        added: images that were added.
    """
    known = [clusters["number"], added["number"], added["undecided"]]
    if "undecided" in clusters.arrays:
        known.append(clusters["undecided"])
    largest = max(int(one.max(initial=-1)) for one in known)
    for table in _tables(run.final):
        largest = max(largest, _largest(table))
    return max(added.following, largest + 1)


def _tables(end: FinalLayout) -> list[Path]:
    return sorted(end.folder.glob(f"{end.table.stem}*{end.table.suffix}"))


def _largest(table: Path) -> int:
    """Return the largest number in a table, -1 if it is none of ours."""
    try:
        return int(read_numbers(table).max())
    except UserError:  # somebody's own table of that name
        return -1
