"""Small folders drawn from a real data set, clustered without training.

`python benchmarks/own_images.py --root ROOT [--start NAME=FILE ...]` draws people from your own
copy of Market-1501 or another data set with identities, as often as asked, and clusters their
images by the features of each start: ImageNet weights that come with mprd, weights files that
`mprd new --weights` reads, and files of features (`--features NAME=FILE`, as `data.features`). What
a start was trained on decides what can be expected: one that saw the people of the draw does not
count. The last rows measure a person's help: 50 answers to the questions of `mprd answer`, and what
an audit of 50 pairs says, both by one who knows. An audit changes no cluster.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from common import Row, report
from scipy.sparse import csr_array
from sklearn.cluster import HDBSCAN, AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix

import mprd
from mprd.clustering.audit import audit_pairs
from mprd.clustering.audit_estimate import audit_estimate
from mprd.clustering.from_features import features_config
from mprd.clustering.linkage import linkage
from mprd.clustering.numbering import with_single_clusters
from mprd.config import TimeConfig, validate
from mprd.data.datasets import read_dataset
from mprd.evidence.fusion import corrected
from mprd.evidence.transitions import learn_transitions
from mprd.graph import center_cameras
from mprd.inference.embedder import Embedder
from mprd.inference.feature_files import matched_features
from mprd.models.network import build_network
from mprd.models.weights import load_checkpoint
from mprd.starter.start import known_start
from mprd.system.torch_setup import select_device

IMAGENET = "lite0"
ANSWERS = 50
CROPS = (8, 14)  # images that are drawn of a person, at least and at most


@dataclass(frozen=True)
class Folder:
    """Images of some people.

    Attributes:
        features: float32 (N, D), unit rows.
        identity: int64 (N,).
        camera: int64 (N,).
        time: float64 (N,), NaN unknown.
    """

    features: np.ndarray
    identity: np.ndarray
    camera: np.ndarray
    time: np.ndarray

    def centred(self) -> np.ndarray:
        """Return the features without what the images of a camera share."""
        return center_cameras(self.features, self.camera)


def hdbscan(folder: Folder) -> np.ndarray:
    found = HDBSCAN(min_cluster_size=3, copy=True).fit_predict(folder.centred())
    return np.where(found < 0, -1, found)


def true_number(folder: Folder) -> np.ndarray:
    """Average linkage that is told how many people there are."""
    people = len(np.unique(folder.identity))
    method = AgglomerativeClustering(people, metric="cosine", linkage="average")
    return method.fit_predict(folder.centred())


def ours_blind(folder: Folder) -> np.ndarray:
    return mprd.cluster_features(folder.features).labels


def ours(folder: Folder) -> np.ndarray:
    return mprd.cluster_features(folder.features, cameras=folder.camera).labels


def jaccard(folder: Folder) -> csr_array:
    """Return the distances that `cluster_features` compares."""
    graph, features = features_config(several_cameras=True).graph, folder.centred()
    _, neighbors = mprd.knn(features, min(len(features), graph.k1))
    return mprd.jaccard_distance(features, neighbors, graph.k1, graph.k2, graph.eps_max)


def ours_answered(folder: Folder) -> np.ndarray:
    """Clusters after right answers to the questions of `mprd answer`."""
    from questions import Person, Scene, by_worth  # that script draws folders as this one does

    person = Person(Scene(jaccard(folder), folder.identity), 0.0, np.random.default_rng(0))
    for a, b, facts in islice(by_worth(person), ANSWERS):
        person.answer(a, b, facts)
    return person.clusters()


def ours_timed(folder: Folder) -> np.ndarray:
    settings, distance = features_config(several_cameras=True), jaccard(folder)
    evidence = learn_transitions(folder.time, folder.camera, distance).evidence
    distance = corrected(distance, evidence, TimeConfig())
    return linkage(distance, settings.cluster.threshold, settings.cluster.min_size)


METHODS: dict[str, Callable[[Folder], np.ndarray]] = {
    "HDBSCAN (scikit-learn)": hdbscan,
    "average linkage, told the number (scikit-learn)": true_number,
    "cluster_features, no cameras": ours_blind,
    "cluster_features": ours,
    "cluster_features and times": ours_timed,
    f"cluster_features after {ANSWERS} answers": ours_answered,
}


def audited(folder: Folder) -> tuple[float, float, bool]:
    """Return the pair precision that an audit estimates, the truth, and whether it holds that."""
    labels = ours(folder)
    drawn = audit_pairs(labels, folder.centred(), ANSWERS)
    same = folder.identity[drawn.pairs[:, 0]] == folder.identity[drawn.pairs[:, 1]]
    said, true = audit_estimate(drawn, same.astype(int)).precision, pair_precision(labels, folder)
    return said.value, true, said.low <= true <= said.high


def pair_precision(labels: np.ndarray, folder: Folder) -> float:
    return mprd.pair_quality(labels, folder.identity).precision


def quality(labels: np.ndarray, identity: np.ndarray) -> tuple[float, float, float]:
    """Return pair F1, adjusted Rand index and B-cubed F1; each outlier is a cluster of its own."""
    single = with_single_clusters(labels)
    table = contingency_matrix(identity, single).astype(float)
    precision = (table**2 / table.sum(axis=0)).sum() / table.sum()
    recall = (table**2 / table.sum(axis=1, keepdims=True)).sum() / table.sum()
    cubed = 2 * precision * recall / (precision + recall)
    pairs = mprd.pair_quality(labels, identity)
    return pairs.f1, adjusted_rand_score(identity, single), float(cubed)


def embedder(file: Path | None) -> Embedder:
    """Return the network of a weights file, or of the ImageNet weights that come with mprd."""
    model = {"backbone": "timm/tf_efficientnet_lite0", "bn_group_size": 0}
    if file is None:
        network = build_network(validate({"model": model}, "lite0"), 128, 64, pretrained=True)
    else:
        shape = known_start(file, (128, 64)).architecture
        model = {"backbone": shape.backbone, "pooling": shape.pooling, "bn_group_size": 0}
        model["last_stride"] = shape.last_stride
        settings = validate({"model": model}, str(file))
        size = shape.height, shape.width
        network = build_network(settings, *size, pretrained=False, checkpoint=file)
        load_checkpoint(network, file)
    return Embedder(network, select_device("auto"))


def draws(identity: np.ndarray, people: int, count: int) -> list[np.ndarray]:
    """Return rows of the images of `count` draws of people."""
    found = []
    for seed in range(count):
        rng, rows = np.random.default_rng(seed), []
        for one in rng.choice(np.unique(identity), people, replace=False):
            own = np.flatnonzero(identity == one)
            size = min(len(own), int(rng.integers(CROPS[0], CROPS[1] + 1)))
            rows.append(rng.choice(own, size, replace=False))
        found.append(np.sort(np.concatenate(rows)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--dataset", default="market1501", help="its name, as data.dataset")
    parser.add_argument(
        "--start", action="append", default=[], metavar="NAME=FILE", help="a weights file"
    )
    parser.add_argument(
        "--features", action="append", default=[], metavar="NAME=FILE", help="a file of features"
    )
    parser.add_argument("--people", type=int, nargs="+", default=[10, 25, 50, 100])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the rows as JSON")
    options = parser.parse_args()
    starts: dict[str, Path | None] = {} if options.features else {IMAGENET: None}
    starts |= {name: Path(file) for name, file in (one.split("=", 1) for one in options.start)}
    listing = read_dataset(options.dataset, options.root)
    records = [record for record in listing.records if record.split == "train"]
    identity = np.array([record.identity for record in records])
    camera = np.array([record.camera for record in records])
    times = np.array([record.time for record in records], np.float64)
    chosen = {people: draws(identity, people, options.draws) for people in options.people}
    used = np.unique(np.concatenate([rows for one in chosen.values() for rows in one]))
    where = np.full(len(records), -1)
    where[used] = np.arange(len(used))
    rows = []
    places = [listing.root / records[row].path for row in used]
    found = {name: embedder(file).embed(places) for name, file in starts.items()}
    for name, file in (one.split("=", 1) for one in options.features):
        found[name] = matched_features(Path(file), [records[row].path for row in used], places)
    for start, features in found.items():
        for people, drawn in chosen.items():
            folders = [Folder(features[where[r]], identity[r], camera[r], times[r]) for r in drawn]
            for name, method in METHODS.items():
                begin = time.perf_counter()
                score = np.array([quality(method(folder), folder.identity) for folder in folders])
                seconds = (time.perf_counter() - begin) / len(folders)
                (f1, ari, cubed), spread = score.mean(axis=0), score[:, 0].std(ddof=0)
                rows.append(
                    Row(
                        f"{start}: {name}",
                        f"{people} people, {len(folders)} draws",
                        f"F1 {f1:.2f} +- {spread:.2f}, ARI {ari:.2f}, B-cubed {cubed:.2f}",
                        detail=f"{seconds:.2f} s a folder",
                    )
                )
            told = np.array([audited(folder) for folder in folders])
            off, held = np.abs(told[:, 0] - told[:, 1]).mean(), int(told[:, 2].sum())
            rows.append(
                Row(
                    f"{start}: an audit of {ANSWERS} pairs",
                    f"{people} people, {len(folders)} draws",
                    f"pair precision said {told[:, 0].mean():.2f}, true {told[:, 1].mean():.2f}",
                    detail=f"off by {off:.2f}; interval holds the truth in {held} of {len(told)}",
                )
            )
    report(rows, options.json)


if __name__ == "__main__":
    main()
