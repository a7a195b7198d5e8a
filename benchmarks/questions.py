"""What answers are worth to the clusters of small folders: `python benchmarks/questions.py`.

People are drawn from features with known identities, as often as asked, and clustered as a run
without training is. Then pairs are answered by their true identities, or with mistakes, and the
answers hold in the clusters. Asked are the pairs of `mprd answer` (by worth, chosen anew every ten
answers), the pairs on which stricter and looser clusterings disagree (those of mprd before), or
random stored pairs. `--features`, `--labels` and `--cameras` are .npy files; without them features
are drawn. Where answers contradict each other, the person looks at them again, as the page asks
for, and takes back what looks wrong now; if nothing does, the last answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import Row, arguments, embeddings, report
from own_images import draws
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

import mprd
from mprd.clustering.constraints import Constraints, ContradictionError
from mprd.clustering.decided import decided_cut
from mprd.clustering.from_features import features_config
from mprd.clustering.from_pairs import cluster_pairs, counted_pairs
from mprd.clustering.graph_matrix import relation_of
from mprd.clustering.linkage import linkage_tree
from mprd.clustering.numbering import with_single_clusters
from mprd.config import validate
from mprd.graph import center_cameras
from mprd.judging.groups import Answers
from mprd.judging.worth import Curve, worthwhile
from mprd.system.csr import entry_rows

SETTINGS = features_config(several_cameras=True)
ROUND = 10  # answers after which questions are chosen anew
LOOSER = [{"method": "dbscan", "eps": eps, "min_samples": 2} for eps in (0.4, 0.5, 0.6)]
LOOSER += [{"method": "community", "gamma": gamma} for gamma in (0.02, 0.1, 0.3, 0.5)]


class Scene(NamedTuple):
    """Images of some people: their distances, and who they are."""

    distance: csr_array
    identity: np.ndarray


@dataclass
class Person:
    """Answers pairs, at times wrongly."""

    scene: Scene
    wrong: float
    rng: np.random.Generator
    pairs: list[tuple[int, int]] = field(default_factory=list)
    same: list[bool] = field(default_factory=list)
    facts: list[np.ndarray] = field(default_factory=list)

    def answer(self, a: int, b: int, facts: np.ndarray) -> None:
        """Answer a pair; where answers contradict each other, look at those again."""
        self.pairs.append((a, b))
        self.same.append(self._look(a, b))
        self.facts.append(facts)
        while chain := self._contradiction():
            links = {frozenset(pair) for pair in pairwise(chain)} | {
                frozenset((chain[0], chain[-1]))
            }
            doubted = [n for n, pair in enumerate(self.pairs) if frozenset(pair) in links]
            wrong = [n for n in doubted if self._look(*self.pairs[n]) != self.same[n]]
            for n in sorted(wrong or [len(self.pairs) - 1], reverse=True):
                del self.pairs[n], self.same[n], self.facts[n]

    def _look(self, a: int, b: int) -> bool:
        true = bool(self.scene.identity[a] == self.scene.identity[b])
        return true != (self.rng.random() < self.wrong)

    def _contradiction(self) -> list[int]:
        """Return the rows of answers that exclude each other; none: all is well."""
        try:
            Constraints.of_answers(
                len(self.scene.identity), np.array(self.pairs), np.array(self.same)
            )
        except ContradictionError as error:
            return error.chain
        return []

    @property
    def known(self) -> Constraints:
        """What follows from the answers."""
        pairs = np.array(self.pairs, np.int64).reshape(-1, 2)
        return Constraints.of_answers(len(self.scene.identity), pairs, np.array(self.same, bool))

    def clusters(self) -> np.ndarray:
        """Return the clusters in which the answers hold."""
        count, settings = len(self.scene.identity), SETTINGS.cluster
        tree = linkage_tree(self.scene.distance, constraints=self.known)
        sizes, alone = np.ones(count, np.int64), np.zeros(count, bool)
        cut = tree, settings.threshold, settings.min_size
        return decided_cut(*cut, self.known, sizes, alone)


Asked = Iterator[tuple[int, int, np.ndarray]]


def by_worth(person: Person) -> Asked:
    relation, done = relation_of(person.scene.distance), set[tuple[int, int]]()
    while True:
        curve = Curve.fitted(np.array(person.facts).reshape(-1, 3), np.array(person.same, bool))
        most = ROUND + len(done)
        threshold = SETTINGS.cluster.threshold
        said = Answers(np.array(person.pairs, np.int64).reshape(-1, 2), np.array(person.same, bool))
        found = worthwhile(person.clusters(), relation, person.known, said, most, curve, threshold)
        new = [one for one in found if (one.a, one.b) not in done][:ROUND]
        if not new:
            return
        for one in new:
            done.add((one.a, one.b))
            yield one.a, one.b, one.facts


def by_disagreement(person: Person) -> Asked:
    """The nearest pair of each two groups on which two clusterings disagree, largest first."""
    distance, first = person.scene.distance, with_single_clusters(person.clusters())
    row, column = entry_rows(distance.indptr), distance.indices
    found: dict[tuple[int, int], tuple[int, float]] = {}
    for settings in LOOSER:
        values = {"cluster": {"eps": 0.7, "min_size": 2} | settings, "graph": {"eps_max": 0.9}}
        chosen = validate(values, "a comparison").cluster
        near = counted_pairs(distance, distance.data, chosen)
        second = with_single_clusters(cluster_pairs(near, np.empty((0, 2), int), chosen)[0])
        both = first * (second.max() + 1) + second
        _, part, sizes = np.unique(both, return_inverse=True, return_counts=True)
        differ = (first[row] == first[column]) != (second[row] == second[column])
        nearest: dict[frozenset[int], tuple[float, int, int]] = {}
        for at in np.flatnonzero(differ & (row < column)).tolist():
            a, b = int(row[at]), int(column[at])
            key = frozenset((int(part[a]), int(part[b])))
            nearest[key] = min(nearest.get(key, (2.0, 0, 0)), (float(distance.data[at]), a, b))
        for key, (far, a, b) in nearest.items():
            moves = int(min(sizes[list(key)]))
            found[a, b] = max(found.get((a, b), (0, -2.0)), (moves, -far))
    for a, b in sorted(found, key=lambda pair: (*(-v for v in found[pair]), pair)):
        yield a, b, np.zeros(3)


def by_chance(person: Person) -> Asked:
    distance = person.scene.distance
    row, column = entry_rows(distance.indptr), distance.indices
    for at in person.rng.permutation(np.flatnonzero(row < column)).tolist():
        yield int(row[at]), int(column[at]), np.zeros(3)


ORDERS: dict[str, Callable[[Person], Asked]] = {
    "by worth": by_worth,
    "disagreements": by_disagreement,
    "random pairs": by_chance,
}


def quality(labels: np.ndarray, identity: np.ndarray) -> tuple[float, float]:
    """Return pair F1 and adjusted Rand index."""
    found = adjusted_rand_score(identity, with_single_clusters(labels))
    return mprd.pair_quality(labels, identity).f1, float(found)


def curve_of(order: str, scene: Scene, wrong: float, counts: list[int], seed: int) -> np.ndarray:
    """Return F1 and ARI without answers and after each number of them, (1 + counts, 2)."""
    person = Person(scene, wrong, np.random.default_rng(seed))
    found = [quality(person.clusters(), scene.identity)]
    asked = ORDERS[order](person)
    for number in range(1, counts[-1] + 1):
        if (pair := next(asked, None)) is not None:
            person.answer(*pair)
        if number in counts:
            found.append(quality(person.clusters(), scene.identity))
    return np.array(found)


def scene_of(features: np.ndarray, identity: np.ndarray, cameras: np.ndarray) -> Scene:
    """Return the distances of some images, as a run without training computes them."""
    graph, centred = SETTINGS.graph, center_cameras(features, cameras)
    _, neighbors = mprd.knn(centred, min(len(centred), graph.k1))
    distance = mprd.jaccard_distance(centred, neighbors, graph.k1, graph.k2, graph.eps_max)
    return Scene(distance, identity)


def main() -> None:
    options = arguments(
        __doc__, features="", labels="", cameras="", name="drawn", people="25,100", draws=10,
        counts="20,50,100,300", wrong="0,0.05",
    )  # fmt: skip
    if options.features:
        files = options.features, options.labels, options.cameras
        features, identity, cameras = (np.load(Path(file)) for file in files)
        features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    else:
        features, identity = embeddings(3400, 64)
        cameras = np.random.default_rng(0).integers(0, 6, len(features))
    counts = [int(one) for one in options.counts.split(",")]
    rows = []
    for people in (int(one) for one in options.people.split(",")):
        drawn = draws(identity, people, options.draws)
        scenes = [scene_of(features[r], identity[r], cameras[r]) for r in drawn]
        for order in ORDERS:
            for wrong in (float(one) for one in options.wrong.split(",")):
                found = np.array(
                    [curve_of(order, s, wrong, counts, n) for n, s in enumerate(scenes)]
                )
                f1, ari = found.mean(axis=0).T
                gain = found[:, :, 0] - found[:, :1, 0]
                rows.append(
                    Row(
                        f"{options.name}: {order}" + (f", {wrong:.0%} wrong" if wrong else ""),
                        f"{people} people, {len(scenes)} draws, 0/{options.counts} answers",
                        "F1 " + " ".join(f"{one:.3f}" for one in f1),
                        detail="ARI "
                        + " ".join(f"{one:.3f}" for one in ari)
                        + f"; least gain of a draw at the end {gain[:, -1].min():+.3f}",
                    )
                )
                report(rows[-1:], None)
    if options.json:
        report(rows, options.json)


if __name__ == "__main__":
    main()
