"""Ranks within cameras: inverted files against all comparisons.

`python benchmarks/camera_ranks.py [--n 50000] [--large]`. Embeddings of 128 dimensions, 17 images
an identity, six cameras that shift them. What the approximation changes is counted where the
relation GCN looks: at the levels of each image's 30 nearest. With `--large` a million images, for
which comparing all with all is not done: its time is that of 2,000 looking images, scaled.
"""

import numpy as np
import torch
from common import Row, arguments, compare, embeddings, measure, report
from torch import Tensor

from mprd.clustering.tracks import TrackGroups
from mprd.gcn.camera_frame import CameraFrame
from mprd.gcn.camera_ranks import (
    LEVELS,
    approximate_profile,
    camera_profile,
    levels_above,
    own_profile,
)
from mprd.graph import approximate_knn

RECALL = 0.95


def scene(count: int) -> tuple[Tensor, Tensor]:
    """Return embeddings around their cameras' means, and cameras."""
    features, _ = embeddings(count, 128)
    # `embeddings` does not tell the cameras that it drew, so these come on top.
    camera = np.random.default_rng(3).integers(0, 6, count)
    offset = 0.3 * np.random.default_rng(4).normal(size=(6, 128)) / 128**0.5
    features = features + offset[camera].astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    memory = torch.from_numpy(features)
    frame = CameraFrame.of_images(memory, camera)
    return frame.centred(memory, frame.cameras), frame.cameras


def alone(features: Tensor) -> TrackGroups:
    """Return groups of one image each: there are no tracks."""
    return TrackGroups.of_tracks(np.full(len(features), -1))


def moved(features: Tensor, cameras: Tensor, exact: Tensor, found: Tensor) -> tuple[float, float]:
    """Return the share of levels of near pairs that differ, and the mean difference."""
    near = torch.from_numpy(approximate_knn(features.numpy(), 31)[1][: len(exact), 1:]).long()
    rows = torch.arange(len(exact))[:, None].expand_as(near)
    cosine = (features[rows] * features[near]).sum(dim=-1)
    ours, true = (levels_above(p[rows, cameras[near]], cosine) for p in (found, exact))
    return float((ours != true).float().mean()), float((ours - true).abs().mean())


def beside_literal(count: int) -> Row:
    features, cameras = scene(count)
    kept: dict = {}
    found = compare(
        lambda: kept.update(
            ours=approximate_profile(features, cameras, RECALL, alone(features))[0]
        ),
        lambda: kept.update(exact=own_profile(features, cameras, alone(features))),
        runs=1,
    )
    share, mean = moved(features, cameras, kept["exact"], kept["ours"])
    return Row(
        "ranks within cameras (recall 0.95)",
        f"N={count:,}, D=128, 6 cameras",
        f"{found.ratio:.1f}x all comparisons",
        detail=f"{found.times()}; {share:.1%} of the levels of near pairs differ, by {mean:.3f} of "
        f"{len(LEVELS)} on average",
    )


def million(count: int) -> Row:
    features, cameras = scene(count)
    kept: dict = {}
    seconds, peak = measure(
        lambda: kept.update(ours=approximate_profile(features, cameras, RECALL, alone(features))[0])
    )
    some = features[:2000]
    exact: dict = {}
    part, _ = measure(
        lambda: exact.update(p=camera_profile(some, features, cameras, 6, torch.arange(2000)))
    )
    share, mean = moved(features, cameras, exact["p"], kept["ours"])
    return Row(
        "ranks within cameras (recall 0.95)",
        f"N={count:,}, D=128, 6 cameras",
        f"{seconds:.0f} s, {peak / 1024:.1f} GiB",
        detail=f"all comparisons would take {part * count / 2000 / 60:.0f} minutes; {share:.1%} of "
        f"the levels of near pairs differ, by {mean:.3f} of {len(LEVELS)} on average",
    )


def main() -> None:
    options = arguments(__doc__, n=50_000)
    warm, cameras = scene(2000)
    approximate_profile(warm, cameras, RECALL, alone(warm))  # compiles
    rows = [million(1_000_000)] if options.large else [beside_literal(options.n)]
    report(rows, options.json)


if __name__ == "__main__":
    main()
