"""Do the intervals of an audit hold the truth? `python benchmarks/audit.py`.

Folders of identities with look-alikes in six cameras, clusters from far too few to far too many,
audits by a person who is always right. `--features FILE.npy --labels FILE.npy` takes images of
known identities instead, by their features. The prior of the intervals was chosen on seeds 0, 1
and 2; the default is another one.

Then audits of two clusterings by the same pairs, beside two audits that share the questions. The
clusterings are two cuts of the same features, or clusters after and before "training": linear
discriminant analysis on the clusters, twice.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from common import Row, arguments, report
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

import mprd
from mprd.clustering.audit_estimate import Estimate

NOISE = "0.5,0.7,1.0,1.3,1.7"  # of images around their identity
CUTS = (0.4, 0.7, 1.0, 1.5, 3.0)  # clusters per identity
FINE, COARSE = 1.5, 0.7  # that are compared, likewise
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


def cuts(features: np.ndarray, counts: Sequence[float]) -> Iterator[np.ndarray]:
    """Yield labels with so many clusters; single images are outliers."""
    distance = 1 - features.astype(float) @ features.T.astype(float)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    for count in counts:
        label = fcluster(tree, max(2, round(count)), "maxclust") - 1
        yield np.where(np.bincount(label)[label] >= 2, label, -1)


def clusterings(features: np.ndarray, identities: int) -> Iterator[np.ndarray]:
    """Yield labels from loose to strict cuts."""
    yield from cuts(features, [share * identities for share in CUTS])


def adapted(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return features that were fitted to clusters, and as many clusters of these."""
    features = features - features.mean(axis=0, dtype=float)
    for _ in range(2):
        inside = labels >= 0
        names, own = np.unique(labels[inside], return_inverse=True)
        rest = features[inside]
        for cluster in range(len(names)):
            rest[own == cluster] -= rest[own == cluster].mean(axis=0)
        within = rest.T @ rest / len(rest)
        within += 0.1 * np.trace(within) / len(within) * np.eye(len(within))
        values, vectors = np.linalg.eigh(within)
        fitted = features @ (vectors / np.sqrt(values))
        fitted /= np.linalg.norm(fitted, axis=1, keepdims=True)
        (labels,) = cuts(fitted, [len(names)])
    return fitted, labels


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


def compared(
    features: np.ndarray, identity: np.ndarray, pair: Sequence[np.ndarray], seeds: range, count: int
) -> Iterator[list[float]]:
    """Yield what audits of two clusterings are worth.

    Of each audit: covered, width, error of both precisions, both recalls, and the differences of
    precision, recall and F1; then the widths of the first two by two audits of half the pairs each.
    """
    first, second = (mprd.pair_quality(labels, identity) for labels in pair)
    true = [first.precision, second.precision, first.recall, second.recall]
    true += [true[0] - true[1], true[2] - true[3], first.f1 - second.f1]
    for seed in seeds:
        drawn = mprd.comparison_pairs(*pair, features, count, seed)
        same = identity[drawn.pairs[:, 0]] == identity[drawn.pairs[:, 1]]
        found = mprd.comparison_estimate(drawn, same.astype(int))
        gain, both = found.difference, (found.first, found.second)
        said = [*(one.precision for one in both), *(one.recall for one in both)]
        row: list[float] = []
        for one, truth in zip([*said, gain.precision, gain.recall, gain.f1], true, strict=True):
            held = one.low - 1e-9 <= truth <= one.high + 1e-9
            row += [held, one.high - one.low, one.value - truth]
        yield [*row, *apart(features, identity, pair, seed, count // 2)]


def apart(
    features: np.ndarray, identity: np.ndarray, pair: Sequence[np.ndarray], seed: int, count: int
) -> tuple[float, float]:
    """Return the widths of two differences, precision and recall, by two audits.

    The interval of the difference of independent estimates: Zou and Donner, Stat. Med. 2008.
    """
    found = []
    for number, labels in enumerate(pair):
        drawn = mprd.audit_pairs(labels, features, count, 2 * seed + number)
        same = identity[drawn.pairs[:, 0]] == identity[drawn.pairs[:, 1]]
        found.append(mprd.audit_estimate(drawn, same.astype(int)))
    first, second = found
    return (
        difference_width(first.precision, second.precision),
        difference_width(first.recall, second.recall),
    )


def difference_width(first: Estimate, second: Estimate) -> float:
    """Return the width of the interval of a difference of two independent estimates."""
    below = np.hypot(first.value - first.low, second.high - second.value)
    return float(below + np.hypot(first.high - first.value, second.value - second.low))


def row_of_comparison(what: str, table: np.ndarray, questions: int) -> Row:
    """Return the row of audits of two clusterings, (n, 23) of `compared`."""
    mean = np.nanmean(table, axis=0)
    held, width, error = (
        [(one[0] + one[1]) / 2, (one[2] + one[3]) / 2, *one[4:]]  # either clustering
        for one in (mean[0:21:3], mean[1:21:3], mean[2:21:3])
    )
    shares = "precision {:.1%}, recall {:.1%}, differences of precision {:.1%}, recall {:.1%}, "
    shares += "F1 {:.1%}"
    return Row(
        "intervals of an audit of two clusterings",
        f"{what}, {len(table)} audits of {questions} pairs",
        f"{shares.format(*held)} hold the truth",
        f"{GOAL:.0%} each",
        bool(min(held) >= GOAL),
        "mean width {:.2f}, {:.2f}, {:.2f}, {:.2f}, {:.2f}".format(*width)
        + f"; two audits of {questions // 2} pairs: differences {mean[21]:.2f}, {mean[22]:.2f}; "
        + "mean error {:+.3f}, {:+.3f}, {:+.3f}, {:+.3f}, {:+.3f}".format(*error),
    )


def pairs_of(
    features: np.ndarray, identities: int
) -> dict[str, tuple[np.ndarray, Sequence[np.ndarray]]]:
    """Return features, and two clusterings that differ, by what they are."""
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    fine, coarse = cuts(features, [FINE * identities, COARSE * identities])
    fitted, after = adapted(features, fine)
    found: dict[str, tuple[np.ndarray, Sequence[np.ndarray]]] = {
        "after and before": (np.hstack([fitted, features]), (after, fine)),
        "fine and coarse": (features, (fine, coarse)),
    }
    return {name: one for name, one in found.items() if differ(*one[1])}


def differ(first: np.ndarray, second: np.ndarray) -> bool:
    """Tell whether two clusterings do."""
    both = np.unique(np.stack([first, second]), axis=1).shape[1]
    return both > min(len(np.unique(first)), len(np.unique(second)))


def main() -> None:
    sizes = {"audits": 400, "identities": 25, "questions": 50, "seed": 7}
    options = arguments(__doc__, **sizes, noise=NOISE, features="", labels="")
    rng = np.random.default_rng(options.seed)
    kinds: dict[str, list[tuple[np.ndarray, np.ndarray]]]
    draws = max(1, options.audits // 50)  # folders of a kind
    if options.features:
        kinds = {options.features: [(np.load(options.features), np.load(options.labels))]}
    else:
        kinds = {
            f"noise {noise}": [folder(rng, float(noise), options.identities) for _ in range(draws)]
            for noise in options.noise.split(",")
        }
    rows = []
    for kind, folders in kinds.items():
        by_cut: list[list[list[float]]] = [[] for _ in CUTS]
        each = max(1, -(-options.audits // (len(folders) * len(CUTS))))
        for number, (features, identity) in enumerate(folders):
            features = features / np.linalg.norm(features, axis=1, keepdims=True)
            labelled = clusterings(features, len(np.unique(identity)))
            for n, labels in enumerate(labelled):
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
        tables: dict[str, list[list[float]]] = {}
        each = max(1, -(-options.audits // len(folders)))
        for number, (features, identity) in enumerate(folders):
            seeds = range(each * number, each * (number + 1))
            pairs = pairs_of(features, len(np.unique(identity)))
            for name, (by, pair) in pairs.items():
                found = compared(by, identity, pair, seeds, options.questions)
                tables.setdefault(name, []).extend(found)
        for name, one in tables.items():
            rows.append(row_of_comparison(f"{kind}, {name}", np.array(one), options.questions))
    report(rows, options.json)


if __name__ == "__main__":
    main()
