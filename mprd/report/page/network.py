"""The camera network: how long people take between cameras, and how many."""

from collections.abc import Iterator, Sequence

import numpy as np

from mprd.artifacts import TRANSITIONS, Artifact, read_artifact
from mprd.errors import many
from mprd.evidence.transitions import Transitions
from mprd.evidence.travel import (
    Way,
    camera_labels,
    stored_transitions,
    time_length,
    typical_ways,
)
from mprd.report.page.blocks import Block, Plots, Section, Table, Text
from mprd.report.page.network_plot import network_plot
from mprd.report.page.plots import heat_map
from mprd.report.page.run_data import RunData

_LEAST_SHARE = 0.05  # of the busiest way's pairs: less is not drawn
_DRAWN = 16  # ways, or twice the cameras
_ROWS = 15  # pairs of cameras with their histograms
_LISTED = 40  # ways in the table
_TICKS = 2  # on each side of 0


def network(run: RunData) -> Section | None:
    """Return the ways between cameras; None: the run does not use times."""
    path = run.layout.final.transitions
    if not (run.config.use_time and path.is_file()):
        return None
    keys = ("edges", "log_ratio", "seeds", "background")
    file = read_artifact(path, TRANSITIONS, keys)
    found = stored_transitions(file.arrays, file.attributes)
    names = camera_labels(run.camera_names, run.camera)
    blocks: list[Block] = [Text(verdict(found, file))]
    if found.informative:
        blocks += _shown(found, names, str(file.attributes["unit"]), run.config.time.most)
    return Section(
        "network",
        "Camera network",
        "How long people take from camera to camera, learnt without identities from the most "
        "similar pairs of images (probable pairs).",
        blocks,
    )


def verdict(found: Transitions, file: Artifact) -> str:
    """Say whether times are used, and why.

    Args:
        found: the transitions.
        file: the `transitions.h5` that holds them.
    """
    timed = int(file.attributes["num_timed"])
    if not timed:
        return "Times are not used: no training image has one."
    if not np.isfinite(found.error):
        return "Times are not used: too few probable pairs of images with a time are known."
    gain = f"gain {found.gain:.2f} ± {found.error:.2f}"
    if not found.informative:
        return (
            f"Times are not used: they do not tell who is who ({gain}; it must be above twice its "
            "error). So there is no picture of the network."
        )
    text = (
        f"Times are used: {gain}. The gain is the mean log ratio of the probable pairs, learnt "
        "from other stretches of time than their own; above twice its error, times tell who is "
        f"who. {many(timed, 'training image has', 'training images have')} a time."
    )
    auc = float(file.attributes["auc"])
    if np.isnan(auc):
        return text
    return f"{text} By known identities, times of two cameras tell pairs apart with AUC {auc:.2f}."


def _shown(found: Transitions, names: list[str], unit: str, most: float) -> Iterator[Block]:
    ways = [way for way in typical_ways(found) if way.first != way.then]
    if not ways:
        yield Text("No two cameras share enough probable pairs to draw a way between them.")
    else:
        drawn = [way for way in ways if way.pairs >= _LEAST_SHARE * ways[0].pairs]
        drawn = drawn[: max(_DRAWN, 2 * len(names))]
        title = "typical time from camera to camera"
        yield Plots([network_plot(title, names, drawn, unit)], [_in_words(drawn, names, unit)])
        some = f"The {len(drawn)} busiest of {len(ways)} ways. " if len(drawn) < len(ways) else ""
        yield Text(
            f"{some}An arrow leads from the camera that sees a person first to the one that sees "
            "the person next; its label is the median time between the two images. The thicker it "
            "is, the more probable pairs take the way, without those that chance brings. Cameras "
            "that are near in time stand side by side; the circle is no map. Where clocks of "
            "cameras differ, the times contain the difference."
        )
    yield from _histograms(found, names, unit, most)
    if ways:
        rows = [
            [
                f"{names[way.first]} before {names[way.then]}",
                time_length(way.time, unit),
                f"{way.pairs:,.0f}",
            ]
            for way in ways[:_LISTED]
        ]
        yield Table(("way", "typical time", "probable pairs"), rows)


def _in_words(ways: Sequence[Way], names: Sequence[str], unit: str) -> str:
    """Return what the picture of the network shows."""
    said = (
        f"{names[w.first]} before {names[w.then]} {time_length(w.time, unit)}, {w.pairs:,.0f} pairs"
        for w in ways
    )
    return f"Network of {len(names)} cameras. {'; '.join(said)}."


def _histograms(found: Transitions, names: list[str], unit: str, most: float) -> Iterator[Block]:
    """Yield the log ratio by time difference of the pairs of cameras with most probable pairs."""
    count = found.seeds.sum(axis=2)
    a, b = np.nonzero(np.triu(count, 1))
    busiest = np.argsort(-count[a, b], kind="stable")[:_ROWS]
    a, b = a[busiest], b[busiest]
    if not len(a):
        return
    used = np.flatnonzero((found.background[a, b] > 0).any(axis=0) | (found.seeds[a, b] > 0).any(0))
    last = len(found.edges)
    low = min(int(used[0]), last - int(used[-1]))  # 0 stays in the middle
    high = last - low
    edges = found.edges[low:high]
    plot = heat_map(
        "log ratio by time between images",
        [f"{names[i]}, {names[j]}" for i, j in zip(a, b, strict=True)],
        _edge_words(edges, unit),
        np.clip(found.log_ratio[a, b, low : high + 1], -most, most),
        "← second camera first     first camera first →",
    )
    text = "Blue and orange squares: one row for each pair of cameras, one column for each time."
    yield Plots([plot], [f"{text} The table of ways says when most people pass."])
    yield Text(
        "Each row is a pair of cameras. Blue: probable pairs have this time between them more "
        "often than any two images do, so it speaks for one person. Orange: less often, so it "
        "speaks against. Pale: time says little. Values are cut at time.most, as the run uses "
        "them. Right of 0 the first camera of the pair sees the person first, left of 0 the second."
    )


def _edge_words(edges: np.ndarray, unit: str) -> list[str]:
    """Return 0 and a few edges to both sides in words, "" for the others."""
    zero = np.flatnonzero(edges == 0)
    start = int(zero[0]) if len(zero) else 0
    step = max(1, -(-max(start, len(edges) - 1 - start) // _TICKS))
    words = []
    for n, edge in enumerate(edges):
        sign = "-" if edge < 0 else ""
        shown = (n - start) % step == 0
        words.append((sign + time_length(abs(float(edge)), unit) if edge else "0") * shown)
    return words
