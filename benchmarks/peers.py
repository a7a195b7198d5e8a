"""Other projects' Jaccard and ranking code beside ours: `python benchmarks/peers.py`.

Nothing of theirs is part of this repository: give the folders of your own checkouts of
github.com/alibaba/cluster-contrast-reid and github.com/JDAI-CV/fast-reid.
"""

import argparse
import contextlib
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import torch
from common import compare, embeddings, median
from evaluation import problem
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from mprd.clustering.dbscan import dbscan
from mprd.clustering.numbering import with_single_clusters
from mprd.graph import jaccard_distance, knn
from mprd.inference.feature_files import read_array
from mprd.retrieval.evaluation import evaluate


def load(path: Path, package: str) -> types.ModuleType:
    """Import one file of a checkout without its package, whose other imports are not needed."""
    parent = types.ModuleType(package)
    parent.__path__ = [str(path.parent)]
    sys.modules[package] = parent
    spec = importlib.util.spec_from_file_location(f"{package}.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def jaccard(checkout: Path, features: np.ndarray) -> None:
    """Compare neighbours and Jaccard graph together, as theirs does both in one function.

    Then DBSCAN by scikit-learn on their distances, as they do it, and ours on ours.
    """
    theirs = load(checkout / "clustercontrast/utils/faiss_rerank.py", "peer_jaccard")
    count, dim = features.shape
    tensor = torch.from_numpy(features)
    kept: dict = {}

    def dense() -> None:
        kept.clear()
        kept["distance"] = theirs.compute_jaccard_distance(
            tensor, k1=30, k2=6, search_option=3, print_flag=False
        )

    found = compare(lambda: jaccard_distance(features, knn(features, 30)[1]), dense, 1)
    graph = jaccard_distance(features, knn(features, 30)[1])
    alone, _ = median(lambda: knn(features, 30))
    row = np.repeat(np.arange(count), np.diff(graph.indptr))
    near = np.abs(graph.data - kept["distance"][row, graph.indices]) < 1e-5
    rest = (found.reference - alone) / (found.ours - alone)
    print(f"cluster-contrast Jaccard, N={count:,}, D={dim}: {found.times()}, {found.ratio:.1f}x")
    print(f"  about {rest:.0f}x without the neighbour search, which is the larger part of ours")
    print(f"  memory {found.peak:,.0f} against {found.reference_peak:,.0f} MiB")
    print(f"  {near.mean():.2%} of our distances are theirs to 1e-5")
    for eps in (0.4, 0.5, 0.6):
        ours = dbscan(graph, eps, 4)
        wanted = DBSCAN(eps=eps, min_samples=4, metric="precomputed").fit_predict(kept["distance"])
        alike = adjusted_rand_score(with_single_clusters(ours), with_single_clusters(wanted))
        print(
            f"  DBSCAN at eps {eps}: {ours.max() + 1} and {wanted.max() + 1} clusters, "
            f"{(ours < 0).sum()} and {(wanted < 0).sum()} outliers, ARI {alike:.5f}"
        )


def ranking(checkout: Path, queries: int, gallery: int, dim: int) -> None:
    """Compare the metrics, distances included."""
    theirs = load(checkout / "fastreid/evaluation/rank.py", "peer_rank")
    sides = problem(queries, gallery, dim)
    query, query_ids, query_cameras, gallery_features, ids, cameras = sides

    def sorting() -> tuple:
        distance = 1 - query @ gallery_features.T
        return theirs.evaluate_rank(
            distance, query_ids, ids, query_cameras, cameras, max_rank=50, use_cython=False
        )

    with contextlib.redirect_stdout(sys.stderr):
        _, precisions, _ = sorting()
        ours = evaluate(*sides, top=50)
        found = compare(lambda: evaluate(*sides, top=50), sorting, 1)
    print(f"fast-reid ranking (Python), {queries:,} x {gallery:,}, D={dim}: {found.times()}, "
          f"{found.ratio:.1f}x; mAP {ours.map:.5f} and {np.mean(precisions):.5f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster-contrast", type=Path, help="folder of a checkout")
    parser.add_argument("--fast-reid", type=Path, help="folder of a checkout")
    parser.add_argument("--features", type=Path, help="features.h5; else fabricated ones")
    parser.add_argument("-n", type=int, default=12_936, help="images")
    parser.add_argument("--dim", type=int, default=2048)
    options = parser.parse_args()
    if options.cluster_contrast:
        features, _ = embeddings(options.n, options.dim)
        if options.features:
            features = read_array(options.features)
        jaccard(options.cluster_contrast, features)
    if options.fast_reid:
        ranking(options.fast_reid, 3368, 15_913, options.dim)


if __name__ == "__main__":
    main()
