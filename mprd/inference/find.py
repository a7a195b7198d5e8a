"""`mprd search`: images most similar to others, by appearance and, if asked for, by times."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mprd.data.image_paths import named_images
from mprd.errors import UserError
from mprd.inference.embedder import load_model
from mprd.inference.gallery import make_gallery, read_gallery
from mprd.inference.given_features import given_gallery, given_images, require_length
from mprd.inference.run_times import RunTimes
from mprd.inference.search import search
from mprd.inference.timed_search import search_with_times
from mprd.pipeline.layout import run_around


@dataclass(frozen=True)
class Found:
    """The best matches of some images.

    Attributes:
        queries: Q image files.
        gallery: G image files.
        similarity: float32 (Q, k), best first; cosine, corrected if times speak.
        index: int64 (Q, k), rows of the gallery.
        evidence: float32 (Q, k), what the times of the two images say; None: not asked.
    """

    queries: list[Path]
    gallery: list[Path]
    similarity: np.ndarray
    index: np.ndarray
    evidence: np.ndarray | None

    def matches(self, at_least: float = -1.0) -> dict[str, list[dict[str, Any]]]:
        """Return path, similarity and (with times) evidence of the matches of each query.

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

    def _match(self, query: int, rank: int) -> dict[str, Any]:
        path = self.gallery[int(self.index[query, rank])]
        match = {"path": str(path), "similarity": round(float(self.similarity[query, rank]), 4)}
        if self.evidence is None:
            return match
        return match | {"evidence": round(float(self.evidence[query, rank]), 2)}


def find_images(
    model: Path | None,
    queries: Sequence[Path],
    gallery: Path,
    k: int = 10,
    *,
    times: bool = False,
    manifest: Path | None = None,
    skip_unreadable: bool = False,
    features: Path | None = None,
    device: str = "auto",
) -> Found:
    """Return the gallery images most similar to each query.

    Args:
        model: `model.safetensors`; with times it lies in the folder of its run. None: features are
            given.
        queries: files or folders; with features there may be none.
        gallery: folder, `.h5` of `mprd embed`, or `embeddings.h5` of a run; with features a file of
            features, with times also of a run.
        k: matches per query; at most those that the gallery has.
        times: let times speak, too; how many images have one is told on standard error.
        manifest: with times: see `RunTimes`.
        skip_unreadable: leave out what cannot be decoded, with a note.
        features: file with the features of the queries, in place of a model.
        device: where images are embedded: auto, cpu, cuda or cuda:N.

    Raises:
        UserError: neither or both of model and features; an image, the model or the gallery cannot
            be read; with times, as `RunTimes`.
    """
    learnt = RunTimes(run_around(model or gallery), manifest) if times else None
    if features is not None:
        if model is not None:
            raise UserError("--features takes the place of a model: give one of them.")
        among = given_gallery(gallery)
        named, embedded = given_images(features, queries)
        require_length(embedded, features, among.features, gallery)
    else:
        if model is None or not queries:
            raise UserError("Name images and the --model that embeds them, or their --features.")
        embedder = load_model(model, device)
        if gallery.suffix == ".h5":
            among = read_gallery(gallery, embedder)
        else:
            among = make_gallery(embedder, [gallery], skip_unreadable=skip_unreadable)
        named = named_images(queries, skip_unreadable=skip_unreadable)
        embedded = embedder.embed([path for path, _ in named])
    files = [path for path, _ in named]
    if learnt is None:
        return Found(files, among.paths, *search(embedded, among.features, k), None)
    seen = learnt.sightings(named)
    others = learnt.sightings(list(zip(among.paths, among.names, strict=True)))
    learnt.say(seen, others, "queries", "gallery images")
    found = search_with_times(embedded, among.features, learnt, seen, others, k)
    return Found(files, among.paths, *found)
