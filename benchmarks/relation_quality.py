"""Which training pairs and node features make a relation GCN that beats cosine and Jaccard?

`python benchmarks/relation_quality.py`: synthetic images, warm-up features, three seeds.
`python benchmarks/relation_quality.py --run results/market1501-small`: the first epoch of any run
with known identities. Metrics are for pairs inside one cluster; the identities that a person's
answers come from are not among those measured.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from runs import start_run
from sklearn.metrics import roc_auc_score
from torch import Tensor

from mprd.artifacts import CLUSTERS, FEATURES, GRAPH, INDEX, Artifact, read_artifact
from mprd.config import Config, read_yaml, validate
from mprd.config.load import merge
from mprd.data.index import split_rows
from mprd.data.pixels import PixelStore
from mprd.data.transforms import view_pixels
from mprd.gcn.judge import Judge
from mprd.gcn.learning import TaskSource, build_gcn, train_gcn
from mprd.gcn.metadata import choose_dissimilar, pair_identities, pair_views
from mprd.gcn.pairs import PairSet
from mprd.gcn.relation_tasks import RelationTasks
from mprd.inference.embed import embed_pixels
from mprd.models.weights import load_network
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout
from mprd.stages.pairs import stratified
from mprd.stages.relation_inputs import unlabelled_tasks
from mprd.stages.run_stage import make_pseudo_labels

ROOT = Path(__file__).parents[1]
LABEL_FREE = ("views", "unlabelled views", "unlabelled strict", "unlabelled cameras", "default")
ANSWERED = ("5 identities", "100 answers", "300 answers", "1000 answers", "300 + cameras")
SOURCES = [*LABEL_FREE, *ANSWERED]
JUDGED_SHARE = 0.4  # of the identities: a person's answers are about these


@dataclass(frozen=True)
class Epoch:
    """The first epoch of a run."""

    config: Config
    index: Artifact
    rows: np.ndarray
    features: np.ndarray
    graph: Artifact
    clusters: Artifact
    folder: Path

    @property
    def identity(self) -> np.ndarray:
        """True identities of the training images, for measuring."""
        return self.index["identity"][self.rows]

    @property
    def cameras(self) -> np.ndarray:
        """Cameras of the training images."""
        return self.index["camera"][self.rows]


def read_epoch(folder: Path) -> Epoch:
    run = RunLayout(folder)
    config = validate(read_yaml(run.config), str(run.config))
    index = read_artifact(run.index, INDEX)
    first = run.epoch(FIRST_EPOCH)
    return Epoch(
        config,
        index,
        split_rows(index, "train"),
        read_artifact(first.features, FEATURES)["features"],
        read_artifact(first.graph, GRAPH),
        read_artifact(first.clusters, CLUSTERS),
        folder,
    )


def make_epoch(folder: Path, seed: int, threads: int) -> Path:
    """Draw images, warm up, embed and cluster, by the settings of the ablation."""
    run = RunLayout(folder)
    if run.epoch(FIRST_EPOCH).clusters.is_file():
        return folder
    values = read_yaml(ROOT / "config/ablation.yaml")
    root = str(folder / "data")
    values = merge(values, {"seed": seed, "data": {"root": root, "synthetic": {"seed": seed}}})
    values |= {"runs": {"quality": {}}, "seeds": []}
    config = validate(values, "config/ablation.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    run.config.write_text(json.dumps(json.loads(config.model_dump_json())))
    start_run(run, config, threads)
    make_pseudo_labels(run, FIRST_EPOCH, config, threads)
    return folder


class Experiment:
    """One network on one epoch."""

    def __init__(self, epoch: Epoch, node_features: str, seed: int, network: str) -> None:
        change = {"gcn": {"node_features": node_features, "network": network}}
        values = merge(json.loads(epoch.config.model_dump_json()), change)
        self.epoch, self.seed = epoch, seed
        self.config = validate(values, "benchmark")
        self.settings = self.config.gcn
        self.generator = torch.Generator().manual_seed(seed)
        self.network = build_gcn(self.settings, epoch.features.shape[1], seed)
        self.relations = RelationTasks(
            network=self.network,
            memory=torch.from_numpy(epoch.features.copy()),
            graph=epoch.graph,
            labels=torch.from_numpy(epoch.clusters["labels"]).long(),
            cameras=epoch.cameras,
            settings=self.settings,
            generator=self.generator,
        )
        rng = np.random.default_rng(seed)
        known = np.unique(epoch.identity[epoch.identity >= 0])
        self.judged = rng.permutation(known)[: int(JUDGED_SHARE * len(known))]

    def pairs_of(self, judged: bool) -> Tensor:
        """Doubtful pairs whose ends both belong (or both do not) to the judged identities."""
        inside = np.isin(self.epoch.identity, self.judged)
        chosen = (inside if judged else ~inside) & (self.epoch.identity >= 0)
        pairs = self.relations.doubtful
        return pairs[torch.from_numpy(chosen)[pairs].all(dim=1)]

    def train(self, source: str, tasks: int) -> None:
        """Train the network on one source of pairs."""
        for part in self._sources(source, tasks):
            if not part.pairs.usable():
                raise SystemExit(f"{source}: no pairs of both kinds")
            train_gcn(self.network, [part], self.settings, self.generator)

    def _sources(self, source: str, tasks: int) -> list[TaskSource]:
        if source == "default":
            return [
                self._views(self.settings.pretrain.metadata),
                self._unlabelled("cameras", tasks),
            ]
        if source == "300 + cameras":
            return [self._unlabelled("cameras", tasks), self._answers(300, tasks // 2)]
        if source == "views":
            return [self._views(tasks)]
        if source == "5 identities":
            return [self._identities(5, tasks)]
        if source.startswith("unlabelled"):
            return [self._unlabelled(source.split()[1], tasks)]
        return [self._answers(int(source.split()[0]), tasks)]

    def _unlabelled(self, kind: str, tasks: int) -> TaskSource:
        values = merge(
            json.loads(self.config.model_dump_json()), {"gcn": {"unlabelled": {"source": kind}}}
        )
        config = validate(values, "benchmark")
        self.relations.settings = config.gcn
        network, store = self._cnn()
        eps = float(self.epoch.clusters.attributes["eps"])
        return unlabelled_tasks(
            self.relations, cnn=network, store=store, eps=eps, config=config, tasks=tasks
        )

    def _views(self, tasks: int) -> TaskSource:
        settings = self.settings.metadata
        rows, _ = choose_dissimilar(
            self.epoch.features,
            self.epoch.graph["neighbors"],
            self.epoch.cameras,
            settings.images,
            self.seed,
        )
        network, store = self._cnn()
        origin = rows.repeat(settings.views)
        draws = torch.Generator().manual_seed(self.seed)
        views = view_pixels(store.batch(origin), self.config.augment, network.statistics, draws)
        features = embed_pixels(network, views, torch.device("cpu"))
        found = pair_views(features, origin)
        context = self.relations.context.extended(
            torch.from_numpy(features), torch.from_numpy(origin)
        )
        judge = Judge(self.network, context, self.relations.judge.scaling)
        pairs = torch.from_numpy(found.pairs) + len(self.relations.context)
        camera = context.same_camera(*pairs.T)
        return TaskSource(
            "views", judge, PairSet(pairs, torch.from_numpy(found.same), camera), tasks
        )

    def _identities(self, count: int, tasks: int) -> TaskSource:
        rows = np.flatnonzero(np.isin(self.epoch.identity, self.judged[:count]))
        found = pair_identities(self.epoch.features[rows], self.epoch.identity[rows])
        pairs = torch.from_numpy(rows[found.pairs])
        return self.relations.collected_tasks(pairs, torch.from_numpy(found.same), tasks)

    def _answers(self, count: int, tasks: int) -> TaskSource:
        """Pairs as `mprd pairs` writes them, answered by the truth."""
        context, pairs = self.relations.context, self.pairs_of(judged=True)
        if len(pairs) < count:
            raise SystemExit(f"{len(pairs)} doubtful pairs of judged identities, {count} asked for")
        i, j = pairs.T
        level = context.camera_level(i, j) + context.camera_level(j, i)
        pairs = pairs[stratified(level.numpy(), count, self.seed)]
        who = torch.from_numpy(self.epoch.identity)[pairs]
        return self.relations.collected_tasks(pairs, who[:, 0] == who[:, 1], tasks)

    def _cnn(self):
        run = RunLayout(self.epoch.folder)
        network, _ = load_network(run.initial_model)
        store = PixelStore(run.pixels, self.epoch.rows, torch.device("cpu"))
        return network, store


def measure(scores: Tensor, same: Tensor, camera: Tensor) -> dict[str, float]:
    """Return AUC over all pairs and by camera relation, and precision and recall at 0.5."""
    metrics = {}
    for name, mask in (("", same == same), ("same cam. ", camera), ("cross cam. ", ~camera)):
        truth, values = same[mask].numpy(), scores[mask].numpy()
        both = truth.any() and not truth.all()
        metrics[f"{name}AUC"] = roc_auc_score(truth, values) if both else float("nan")
        metrics[f"{name}precision"] = (
            truth[values >= 0.5].mean() if (values >= 0.5).any() else np.nan
        )
        metrics[f"{name}recall"] = (values >= 0.5)[truth].mean()
    return metrics


def measure_epoch(
    epoch: Epoch, seed: int, tasks: int, limit: int, network: str, sources: list[str]
) -> list[dict]:
    rows = []
    first = Experiment(epoch, "relational", seed, network)
    pairs = first.pairs_of(judged=False)
    pairs = pairs[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))[:limit]]
    who = torch.from_numpy(epoch.identity)[pairs]
    same, context = who[:, 0] == who[:, 1], first.relations.context
    i, j = pairs.T
    camera = context.same_camera(i, j)
    print(
        f"seed {seed}: {len(pairs)} pairs, {float(same.float().mean()):.3f} of one identity",
        flush=True,
    )
    baselines = {
        "cosine": (context.memory[i] * context.memory[j]).sum(1),
        "Jaccard": context.jaccard(i, j),
        "cosine around camera means": context.centred_cosine(i, j),
        "camera rank": -(context.camera_level(i, j) + context.camera_level(j, i)),
    }
    for name, scores in baselines.items():
        metrics = {k: v for k, v in measure(scores, same, camera).items() if k.endswith("AUC")}
        rows.append({"nodes": "", "source": name, "seed": seed, **metrics})
    for nodes in ("raw", "relational"):
        for source in sources:
            experiment = Experiment(epoch, nodes, seed, network)
            experiment.train(source, tasks)
            start = time.perf_counter()
            scores = experiment.relations.judge.probability(pairs)
            rate = len(pairs) / (time.perf_counter() - start)
            metrics = measure(scores, same, camera) | {"pairs/s": rate}
            rows.append({"nodes": nodes, "source": source, "seed": seed, **metrics})
            print(f"  {nodes:10} {source:20} AUC {metrics['AUC']:.3f}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, action="append", help="folder of a run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=240, help="Reptile tasks per network")
    parser.add_argument("--pairs", type=int, default=20_000, help="most pairs measured")
    parser.add_argument("--network", default="dgcnn", help="gcn.network")
    parser.add_argument(
        "--source", action="append", choices=SOURCES, help="what to train on; default: everything"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=ROOT / "results/relation_quality")
    options = parser.parse_args()
    options.source = options.source or SOURCES
    torch.set_num_threads(options.threads)
    rows = []
    for seed in range(options.seeds):
        if options.run:
            folder = options.run[seed % len(options.run)]
        else:
            folder = make_epoch(options.work / f"seed{seed}", seed, options.threads)
        rows += measure_epoch(
            read_epoch(folder), seed, options.tasks, options.pairs, options.network, options.source
        )
    table = pd.DataFrame(rows).groupby(["nodes", "source"], sort=False)
    print(f"\nmean over {options.seeds} seeds (standard deviation of the AUC)")
    result = table.mean(numeric_only=True).drop(columns="seed")
    result.insert(1, "+-", table["AUC"].std())
    print(result.round(3).to_string(na_rep=""))


if __name__ == "__main__":
    main()
