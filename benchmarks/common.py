"""What the benchmarks share: test features, fair timing, rows of results."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Row:
    """One line of RESULTS.md.

    Attributes:
        what: what was measured.
        size: of the problem.
        result: the figure that the target speaks of.
        target: what is wanted, "" where nothing was fixed.
        met: whether it is reached, None without a target.
        detail: times, memory, agreement with the reference.
    """

    what: str
    size: str
    result: str
    target: str = ""
    met: bool | None = None
    detail: str = ""


@dataclass(frozen=True)
class Comparison:
    """Ours beside a reference, timed in turns.

    Attributes:
        ours: median seconds.
        reference: median seconds.
        ratio: median of reference / ours, each pair of one turn.
        peak: most memory that ours added, MiB.
        reference_peak: the same of the reference.
    """

    ours: float
    reference: float
    ratio: float
    peak: float
    reference_peak: float

    def times(self) -> str:
        """Return the times for a row's detail."""
        return f"{self.ours:.3g} s against {self.reference:.3g} s"


def compare(
    ours: Callable[[], object], reference: Callable[[], object], runs: int = 3
) -> Comparison:
    """Time two functions in turns, so that both see the same machine; ours runs once before."""
    ours()
    pairs = [(measure(ours), measure(reference)) for _ in range(runs)]
    mine, theirs = zip(*pairs, strict=True)
    return Comparison(
        statistics.median(time for time, _ in mine),
        statistics.median(time for time, _ in theirs),
        statistics.median(b[0] / a[0] for a, b in pairs),
        max(peak for _, peak in mine),
        max(peak for _, peak in theirs),
    )


def median(function: Callable[[], object], runs: int = 3) -> tuple[float, float]:
    """Return the median seconds and the largest memory added, MiB."""
    found = [measure(function) for _ in range(runs)]
    return statistics.median(time for time, _ in found), max(peak for _, peak in found)


def measure(function: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of one call and the memory it added at its peak, MiB."""
    before = _reset_peak()
    start = time.perf_counter()
    function()
    seconds = time.perf_counter() - start
    return seconds, _status("VmHWM") - before


def embeddings(count: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features as a network in training gives them, and identities.

    Identities, 17 images each, lie in groups of look-alikes in a space of 64 dimensions, seen by
    six cameras with an offset each. At N=12,936 the rows of the k-reciprocal encoding have 83
    entries and those of the distance graph 14, as those of a ResNet-18 half-way through training
    on Market-1501 (81 and 14).

    Returns:
        float32 (count, dim), unit rows in random order, and int (count,).
    """
    rng = np.random.default_rng(seed)
    latent, identities = 64, max(1, count // 17)
    groups = rng.normal(size=(max(1, identities // 20), latent))
    centre = groups[rng.integers(0, len(groups), identities)]
    centre = centre + 0.7 * rng.normal(size=centre.shape)
    identity = rng.integers(0, identities, count)
    camera = 0.5 * rng.normal(size=(6, latent))[rng.integers(0, 6, count)]
    projection = (rng.normal(size=(latent, dim)) / dim**0.5).astype(np.float32)
    features = np.empty((count, dim), np.float32)
    for start in range(0, count, 2**16):
        rows = slice(start, start + 2**16)
        block = centre[identity[rows]] + camera[rows]
        block = (block + 0.9 * rng.normal(size=block.shape)).astype(np.float32) @ projection
        noise = rng.normal(size=block.shape).astype(np.float32)
        block += 0.1 * np.linalg.norm(block, axis=1).mean() / dim**0.5 * noise
        features[rows] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return features, identity


def arguments(description: str | None, **defaults: int | str) -> argparse.Namespace:
    """Parse `--large`, `--json FILE`, and an option for each default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--large", action="store_true", help="the sizes that take minutes")
    parser.add_argument("--json", type=Path, help="write the rows there")
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    return parser.parse_args()


def report(rows: Sequence[Row], file: Path | None) -> None:
    """Print rows, and write them where `make bench` collects them."""
    for row in rows:
        verdict = {True: "met", False: "MISSED", None: ""}[row.met]
        print(f"{row.what} | {row.size} | {row.result} | {row.target} {verdict} | {row.detail}")
    if file is not None:
        file.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")


def _reset_peak() -> float:
    """Set the kernel's peak-memory mark to now; return the memory in use, MiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # no Linux: times alone
        return float("nan")
    return _status("VmRSS")


def _status(field: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
