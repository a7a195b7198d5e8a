"""`mprd add`: new images come to a finished run, and people keep all that they decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mprd.artifacts import sha256_file
from mprd.artifacts.locks import only_writer
from mprd.artifacts.places import require_writable
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config, load_config
from mprd.data.added import Added, made_from, nobody, stored
from mprd.data.index import split_rows
from mprd.errors import UserError, many, pasted
from mprd.inference.arriving import Arrival, Candidate, arriving, candidates
from mprd.inference.embedder import Embedder, load_model
from mprd.inference.feature_files import matched_features
from mprd.inference.given_features import require_length
from mprd.inference.no_model import no_model
from mprd.inference.placing import Compared
from mprd.inference.sightings import index_sightings
from mprd.inference.strangers import pairs_of, sides_of
from mprd.pipeline.finished import finished_run
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.registry import load_plugins
from mprd.pipeline.run_lock import require_free
from mprd.stages.added_images import RunEnd, place
from mprd.stages.cluster_csv import write_final_tables

_PAIRS = ("indptr", "indices", "data")


@dataclass(frozen=True)
class Addition:
    """What came of adding images.

    Attributes:
        notes: on images that were left as they are, and on cameras.
        new: images that were added.
        known: of these, in clusters of the run.
        strangers: in new clusters.
        fresh: numbers of the new clusters.
        total: images that were added to the run, now and before.
        table: the table that lists all images.
    """

    notes: list[str]
    new: int
    known: int
    strangers: int
    fresh: list[int]
    total: int
    table: Path

    def words(self) -> str:
        """Return what was done, in a sentence."""
        if not self.new:
            return f"No image is new; {self.total:,} were added to the run so far."
        numbers = ", ".join(map(str, self.fresh[:10])) + (" ..." if len(self.fresh) > 10 else "")
        clusters = many(len(self.fresh), "new cluster")
        lone = self.new - self.known - self.strangers
        return (
            f"{many(self.new, 'image')} added to {self.table}: "
            f"{self.known:,} in clusters that were there, {self.strangers:,} in {clusters}"
            f"{f' ({numbers})' if self.fresh else ''}, {lone:,} in none."
        )


def add_images(
    run: Path,
    images: Sequence[Path],
    *,
    skip_unreadable: bool = False,
    features: Path | None = None,
    device: str | None = None,
) -> Addition:
    """Give new images to the clusters of a finished run; strangers form clusters among themselves.

    Clusters keep number and name, decisions hold. `final/added.h5` and `final/clusters.csv` are
    written; the table before stays as `clusters.1.csv`. Images that the run has already, by their
    bytes, are left as they are. Images that were added before a run was made again are assigned
    anew.

    Args:
        run: its folder.
        images: files, folders, or manifests that tell camera, time and side; none: only those
            from before.
        skip_unreadable: leave out what cannot be decoded, with a note.
        features: file with the features of the images, for a run with `data.features`.
        device: where images are embedded: auto, cpu, cuda or cuda:N; None: as the run says.

    Raises:
        UserError: the run is not finished, a workflow works on it, its folder cannot be written to,
            an image cannot be read, or decisions contradict each other; nothing is changed then.
    """
    layout = finished_run(run)
    require_free([layout])
    config = load_config(layout.config)
    load_plugins(config)
    if features is None and config.data.features is not None and images:
        raise no_model(run)
    if features is not None and config.data.features is None:
        raise UserError(f"{run} has a network of its own: leave --features out.")
    require_writable(layout.final.folder)
    with only_writer(layout.final.added):
        return _add(layout, config, images, skip_unreadable, features, device)


def undo_added(run: Path) -> tuple[int, int]:
    """Take back the images of the last `mprd add`; the images themselves stay where they are.

    Decisions about them stay in the log, and hold again if the images come again.

    Returns:
        How many images were taken back, and how many of earlier ones stay.

    Raises:
        UserError: nothing was added, or as `add_images`.
    """
    layout = finished_run(run)
    require_free([layout])
    require_writable(layout.final.folder)
    with only_writer(layout.final.added):
        before, _ = stored(layout.final)
        if not len(before):
            raise UserError(f"{run} has no added images to take back.")
        kept = np.flatnonzero(before["batch"] < before["batch"].max())
        _write(RunEnd.read(layout, load_config(layout.config)), _some(before, kept))
        return len(before) - len(kept), len(kept)


def _add(
    layout: RunLayout,
    config: Config,
    images: Sequence[Path],
    skip_unreadable: bool,
    features: Path | None,
    device: str | None,
) -> Addition:
    end, (before, inputs) = RunEnd.read(layout, config), stored(layout.final)
    if not images and not len(before):
        raise UserError("Name the images to add: files, folders, or manifests.")
    index, clusters = end.index, end.clusters
    notes, again = [], inputs.get("features") != clusters.inputs["features"]
    if len(before) and inputs != made_from(clusters):
        kept = ~np.isin(before["sha256"], index["sha256"][split_rows(index, "train")])
        if not kept.all():
            gone = int((~kept).sum())
            are = "is an image" if gone == 1 else "are images"
            notes.append(f"{many(gone, 'image')} that you added {are} of the run now")
        before = _some(before, np.flatnonzero(kept))
    named = candidates(images, index, config, skip_unreadable=skip_unreadable)
    found = arriving(named, index, before)
    if len(before) and again:
        before = _embedded_again(end, before, device)
    embedded = _features(end, named, found.new, features, device)
    done = _write(end, _joined(before, found.new, embedded))
    return _addition(end, done, len(found.new), [*notes, *found.notes])


def _features(
    end: RunEnd,
    named: Sequence[Candidate],
    new: Sequence[Arrival],
    file: Path | None,
    device: str | None,
) -> np.ndarray:
    """Return the features of new images, by the network of the run or of a file."""
    if not new:
        return np.zeros((0, end.features.shape[1]), np.float32)
    if file is None:
        return _network(end, device).embed([one.candidate.file for one in new])
    shown = [one.shown.as_posix() for one in named]
    given = matched_features(file, shown, [one.file.resolve() for one in named])
    require_length(given, file, end.features, end.layout.final.features)
    return given[[one.number for one in new]]


def _network(end: RunEnd, device: str | None) -> Embedder:
    config = end.config
    return load_model(end.layout.final.model, device or config.device, config.precision)


def _embedded_again(end: RunEnd, before: Added, device: str | None) -> Added:
    """Return images with the features that the network of the run gives them now."""
    run = end.layout.folder
    if end.config.data.features is not None:
        raise UserError(
            f"{run} was made again since images were added, perhaps with other features. "
            "Take them back with --undo, then add them again with --features."
        )
    files = before.locations(end.index)
    for file, sha256 in zip(files, before["sha256"], strict=True):
        if not file.is_file() or sha256_file(file) != sha256:
            raise UserError(
                f"{file} was added and is missing or changed now. Put it back, or take the images "
                f"back: mprd add {pasted(run)} --undo"
            )
    embedded = _network(end, device).embed(files)
    return Added({**before.arrays, "features": embedded}, before.following)


def _joined(before: Added, new: Sequence[Arrival], features: np.ndarray) -> Added:
    """Return images that were added before, and new ones behind them."""
    batch = int(before["batch"].max(initial=0)) + 1
    columns = {
        "path": [one.path for one in new],
        "sha256": [one.sha256 for one in new],
        "camera": [one.candidate.camera for one in new],
        "time": [one.candidate.time for one in new],
        "side": [one.candidate.side for one in new],
        "width": [one.size[0] for one in new],
        "height": [one.size[1] for one in new],
        "batch": [batch] * len(new),
        "number": [-1] * len(new),
        "undecided": [-1] * len(new),
        "name": [""] * len(new),
        "membership": [0.0] * len(new),
    }
    arrays = {
        key: np.concatenate([before[key], np.array(values, before[key].dtype)])
        for key, values in columns.items()
    }
    both = [before["features"], features] if len(before) else [features]
    arrays["features"] = np.concatenate(both).astype(np.float32)
    return Added({**before.arrays, **arrays}, before.following)


def _some(added: Added, rows: np.ndarray) -> Added:
    """Return some of the images, without their pairs."""
    kept = {key: values[rows] for key, values in added.arrays.items() if key not in _PAIRS}
    return Added({**nobody().arrays, **kept}, added.following)


def _write(end: RunEnd, added: Added) -> Added:
    """Give images to the clusters of a run, and write them and the table.

    Args:
        end: of the run.
        added: all images that are to be added to the run now.
    """
    index, rows = end.index, split_rows(end.index, "train")
    tracks = TrackGroups.of_tracks(index["track"][rows])
    compared = Compared.of(index, end.features, added, end.config)
    sides = sides_of(index_sightings(index, rows, added), tracks.followed_by(len(added)))
    pairs = pairs_of(compared.known, tracks, compared.new, sides, end.config)
    arrays = {**added.arrays, **dict(zip(_PAIRS, pairs, strict=True))}
    whole = Added(arrays, added.following, len(tracks.first))
    done = place(end, whole, compared)
    write_final_tables(end.layout.final, index, rows, end.clusters, done)
    return done


def _addition(end: RunEnd, done: Added, new: int, notes: list[str]) -> Addition:
    """Return what came of adding the last `new` images."""
    number = done["number"][len(done) - new :]
    there = np.union1d(end.clusters["number"], done["number"][: len(done) - new])
    known = int(np.isin(number, there[there >= 0]).sum())
    fresh = np.setdiff1d(number, [-1, *there]).tolist()
    strangers = int((number >= 0).sum()) - known
    return Addition(notes, new, known, strangers, fresh, len(done), end.layout.final.table)
