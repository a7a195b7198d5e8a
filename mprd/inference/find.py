"""`mprd search`: images most similar to others, by appearance and, if asked for, by times."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mprd.data.image_paths import named_images
from mprd.data.times import iso_time
from mprd.errors import UserError, say
from mprd.inference.embedder import load_model
from mprd.inference.gallery import Gallery, embedded_gallery, read_gallery
from mprd.inference.given_features import given_gallery, given_images, require_length
from mprd.inference.run_times import RunTimes
from mprd.inference.search import search
from mprd.inference.sightings import RunSightings, Sightings
from mprd.inference.timed_search import search_with_times
from mprd.pipeline.layout import run_around, runs_above


@dataclass(frozen=True)
class Where:
    """Images to choose by camera and time, as `Sightings.rows` takes them.

    Attributes:
        cameras: names; none: all.
        after: first time; "": any.
        before: first time that is too late; "": any.
    """

    cameras: tuple[str, ...] = ()
    after: str = ""
    before: str = ""

    def __bool__(self) -> bool:
        """Tell whether it asks for anything."""
        return bool(self.cameras or self.after or self.before)

    def rows(self, seen: Sightings, what: str) -> np.ndarray:
        """Return which images are chosen, bool (n,); how many, is told on standard error.

        Args:
            seen: n images.
            what: name of them, plural.

        Raises:
            UserError: as `Sightings.rows`; none are.
        """
        try:
            chosen = seen.rows(self.cameras, after=self.after or None, before=self.before or None)
        except UserError as error:
            raise UserError(f"{what}: {error}") from None
        timed = bool(self.after or self.before)
        lacking = f" ({np.isnan(seen.times).sum():,} have no time)" if timed else ""
        if not chosen.any():
            raise UserError(
                f"None of the {len(chosen):,} {what} is of that camera and time{lacking}: widen it."
            )
        say(f"{what}: {chosen.sum():,} of {len(chosen):,} chosen{lacking}", file=sys.stderr)
        return chosen


@dataclass(frozen=True)
class Found:
    """The best matches of some images.

    Attributes:
        queries: Q image files.
        gallery: G image files.
        similarity: float32 (Q, k), best first; cosine, corrected if times speak.
        index: int64 (Q, k), rows of the gallery.
        evidence: float32 (Q, k), what the times of the two images say; None: not asked.
        seen: when and where the queries were taken; None: no run is there that knows.
        others: the same of the gallery.
    """

    queries: list[Path]
    gallery: list[Path]
    similarity: np.ndarray
    index: np.ndarray
    evidence: np.ndarray | None
    seen: Sightings | None
    others: Sightings | None

    def matches(self, at_least: float = -1.0) -> dict[str, list[dict[str, Any]]]:
        """Return path, similarity and (with times) evidence of the matches of each query.

        Where a run knows them, also camera, time, track and side, "" unknown.

        Args:
            at_least: less similar ones are left out.
        """
        return {
            str(query): [
                self._match(number, rank)
                for rank, near in enumerate(self.similarity[number])
                if near >= at_least
            ]
            for number, query in enumerate(self.queries)
        }

    def rows(self, at_least: float = -1.0) -> list[dict[str, Any]]:
        """Return a row of a table for each match, with what is known of the query, too.

        Args:
            at_least: as in `matches`.
        """
        found = []
        for number, (query, matches) in enumerate(self.matches(at_least).items()):
            own = {f"query_{key}": value for key, value in facts(self.seen, number).items()}
            for rank, match in enumerate(matches, 1):
                found.append({"query": query, **own, "rank": rank, **match})
        return found

    def _match(self, query: int, rank: int) -> dict[str, Any]:
        row = int(self.index[query, rank])
        match: dict[str, Any] = {"path": str(self.gallery[row])}
        match["similarity"] = round(float(self.similarity[query, rank]), 4)
        if self.evidence is not None:
            match["evidence"] = round(float(self.evidence[query, rank]), 2)
        return match | facts(self.others, row)


def facts(seen: Sightings | None, row: int) -> dict[str, str]:
    """Return what is known of an image, "" unknown; nothing where no run knows it."""
    if seen is None:
        return {}
    time = iso_time(float(seen.times[row]), seen.unit)
    return {
        "camera": seen.places[row],
        "time": time,
        "track": seen.tracks[row],
        "side": seen.sides[row],
    }


def find_images(
    model: Path | None,
    queries: Sequence[Path],
    gallery: Path,
    k: int = 10,
    *,
    times: bool = False,
    manifest: Path | None = None,
    query_where: Where = Where(),
    gallery_where: Where = Where(),
    skip_unreadable: bool = False,
    features: Path | None = None,
    device: str = "auto",
) -> Found:
    """Return the gallery images most similar to each query.

    Args:
        model: `model.safetensors`; with times or a choice by camera or time it lies in the folder
            of its run. None: features are given.
        queries: files or folders; with features there may be none.
        gallery: folder, `.h5` of `mprd embed`, or `embeddings.h5` of a run; with features a file of
            features, with times also of a run.
        k: matches per query; at most those that the gallery has.
        times: let times speak, too; how many images have one is told on standard error.
        manifest: says when and where images were taken, see `RunSightings`.
        query_where: queries to search with.
        gallery_where: gallery images to search among.
        skip_unreadable: leave out what cannot be decoded, with a note.
        features: file with the features of the queries, in place of a model.
        device: where images are embedded: auto, cpu, cuda or cuda:N.

    Raises:
        UserError: neither or both of model and features; an image, the model or the gallery cannot
            be read; no image is of the camera and time; with times, as `RunTimes`.
    """
    file = model or gallery
    learnt = RunTimes(run_around(file)) if times else None
    asked = times or manifest is not None or query_where or gallery_where
    run = run_around(file) if asked else next(iter(runs_above(file)), None)
    known = None if run is None or not run.index.is_file() else RunSightings(run, manifest)
    chosen = _Chosen(known)
    if features is not None:
        if model is not None:
            raise UserError("--features takes the place of a model: give one of them.")
        among = given_gallery(gallery)
        named, embedded = given_images(features, queries)
        require_length(embedded, features, among.features, gallery)
        named, rows, seen = chosen.of(named, query_where, "queries")
        embedded = embedded[rows]
    else:
        if model is None or not queries:
            raise UserError("Name images and the --model that embeds them, or their --features.")
        embedder = load_model(model, device)
        named = named_images(queries, skip_unreadable=skip_unreadable)
        named, _, seen = chosen.of(named, query_where, "queries")
        if gallery.suffix == ".h5":
            among = read_gallery(gallery, embedder)
        else:
            listed = named_images([gallery], skip_unreadable=skip_unreadable)
            listed, _, _ = chosen.of(listed, gallery_where, "gallery images")
            among, gallery_where = embedded_gallery(embedder, listed), Where()
        embedded = embedder.embed([path for path, _ in named])
    images = list(zip(among.paths, among.names, strict=True))
    images, rows, others = chosen.of(images, gallery_where, "gallery images")
    if gallery_where:
        among = Gallery(among.features[rows], [p for p, _ in images], [n for _, n in images])
    files = [path for path, _ in named]
    if learnt is None or seen is None or others is None:
        near = _by_side(embedded, among.features, k, seen, others)
        return Found(files, among.paths, *near, None, seen, others)
    learnt.say(seen, others, "queries", "gallery images")
    found = search_with_times(embedded, among.features, learnt, seen, others, k)
    return Found(files, among.paths, *found, seen, others)


def _by_side(
    query: np.ndarray, gallery: np.ndarray, k: int, seen: Sightings | None, others: Sightings | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best matches as `search`; a left flank is no answer to a right one.

    A query of a known side may have fewer matches than others; the rest has the similarity -inf.
    """
    if seen is None or others is None or not any(seen.sides) or not any(others.sides):
        return search(query, gallery, k)
    k = min(k, len(gallery))
    similarity = np.full((len(query), k), -np.inf, np.float32)
    index = np.zeros((len(query), k), np.int64)
    shown, there = np.array(seen.sides, object), np.array(others.sides, object)
    for side in sorted(set(seen.sides)):
        rows = np.flatnonzero(shown == side)
        among = np.isin(there, ["", side]) if side else np.ones(len(gallery), bool)
        near, found = search(query[rows], gallery, k, among=among)
        similarity[rows, : near.shape[1]], index[rows, : near.shape[1]] = near, found
    return similarity, index


class _Chosen:
    """Images by what a run knows of them."""

    def __init__(self, known: RunSightings | None) -> None:
        self._known = known

    def of(
        self, named: list[tuple[Path, Path]], where: Where, what: str
    ) -> tuple[list[tuple[Path, Path]], np.ndarray, Sightings | None]:
        """Return the images that are chosen, their numbers, and when and where they were taken."""
        rows = np.arange(len(named))
        if self._known is None:
            return named, rows, None
        seen = self._known.of(named)
        if where:
            rows = np.flatnonzero(where.rows(seen, what))
            seen = seen.of(rows)
        return [named[row] for row in rows.tolist()], rows, seen
