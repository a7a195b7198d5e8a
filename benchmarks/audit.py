"""Do the intervals of an audit hold the truth? `python benchmarks/audit.py`.

Folders of identities with look-alikes in six cameras, clusters from far too few to far too many,
audits by a person who is always right. `--features FILE.npy --labels FILE.npy` takes images of
known identities instead, by their features. The prior of the intervals was chosen on seeds 0, 1
and 2; the default is another one.
"""

from collections.abc import Iterator

import numpy as np
from common import Row, arguments, report
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

import mprd

NOISE = (0.5, 0.7, 1.0, 1.3, 1.7)  # of images around their identity
CUTS = (0.4, 0.7, 1.0, 1.5, 3.0)  # clusters per identity
GOAL = 0.93


def folder(
    rng: np.random.Generator, noise: float, identities: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return features without what cameras share, and identities."""
    latent, cameras = 24, 6
    identity = np.repeat(np.arange(identities), rng.integers(8, 15, identities))
    groups = rng.normal(size=(max(1, identities // 4), latent))
    center = groups[rng.integers(0, len(groups), identities)]
    center = center + 0.7 * rng.normal(size=center.shape)
    camera = rng.integers(0, cameras, len(identity))
    offset = 0.5 * rng.normal(size=(cameras, latent))
    features = center[identity] + offset[camera]
    features = (features + noise * rng.normal(size=features.shape)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return mprd.center_cameras(features, camera), identity


def clusterings(features: np.ndarray, identities: int) -> Iterator[np.ndarray]:
    """Yield labels from loose to strict cuts; single images are outliers."""
    distance = 1 - features.astype(float) @ features.T.astype(float)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    for share in CUTS:
        label = fcluster(tree, max(2, round(share * identities)), "maxclust") - 1
        yield np.where(np.bincount(label)[label] >= 2, label, -1)


def audits(
    features: np.ndarray, identity: np.ndarray, labels: np.ndarray, seeds: range, count: int
) -> Iterator[list[float]]:
    """Yield, of each audit: covered, width, error of precision, and the same of recall."""
    truth = mprd.pair_quality(labels, identity)
    for seed in seeds:
        drawn = mprd.audit_pairs(labels, features, count, seed)
        same = identity[drawn.pairs[:, 0]] == identity[drawn.pairs[:, 1]]
        found = mprd.audit_estimate(drawn, same.astype(int))
        row: list[float] = []
        for one, true in ((found.precision, truth.precision), (found.recall, truth.recall)):
            row += [one.low <= true <= one.high, one.high - one.low, one.value - true]
        yield row


def main() -> None:
    options = arguments(
        __doc__, audits=400, identities=25, questions=50, seed=7, features="", labels=""
    )
    rng = np.random.default_rng(options.seed)
    kinds: dict[str, list[tuple[np.ndarray, np.ndarray]]]
    draws = max(1, options.audits // 50)  # folders of a kind
    if options.features:
        kinds = {options.features: [(np.load(options.features), np.load(options.labels))]}
    else:
        kinds = {
            f"noise {noise}": [folder(rng, noise, options.identities) for _ in range(draws)]
            for noise in NOISE
        }
    rows = []
    for kind, folders in kinds.items():
        by_cut: list[list[list[float]]] = [[] for _ in CUTS]
        each = max(1, -(-options.audits // (len(folders) * len(CUTS))))
        for number, (features, identity) in enumerate(folders):
            features = features / np.linalg.norm(features, axis=1, keepdims=True)
            cuts = clusterings(features, len(np.unique(identity)))
            for n, labels in enumerate(cuts):
                seeds = range(each * number, each * (number + 1))
                by_cut[n] += audits(features, identity, labels, seeds, options.questions)
        table = np.array(by_cut)  # cut, audit, figure
        mean, worst = table.mean(axis=(0, 1)), table.mean(axis=1).min(axis=0)
        rows.append(
            Row(
                "intervals of an audit",
                f"{kind}, {table.shape[0] * table.shape[1]} audits of {options.questions} pairs",
                f"precision {mean[0]:.1%}, recall {mean[3]:.1%} hold the truth",
                f"{GOAL:.0%} each",
                bool(mean[0] >= GOAL and mean[3] >= GOAL),
                f"mean width {mean[1]:.2f} and {mean[4]:.2f}, mean error {mean[2]:+.3f} and "
                f"{mean[5]:+.3f}; at the worst cut {worst[0]:.0%} and {worst[3]:.0%}",
            )
        )
    report(rows, options.json)


if __name__ == "__main__":
    main()
