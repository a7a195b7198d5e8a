"""Several epochs in one process: the same stage functions, the same artifacts."""

from pathlib import Path

from mprd.config import Config
from mprd.stages.cluster import run_cluster
from mprd.stages.features import run_features
from mprd.stages.graph import run_graph
from mprd.stages.train import TrainInputs, run_train


def run_epochs(run: Path, first: int, last: int, config: Config, threads: int | None) -> None:
    """Do the epochs `first` to `last` of a run, one stage after the other.

    For work that is fast beside the start of a process, or that waits in a queue for each job.
    Features, graph and clusters of epoch 1 must be there: the relation GCN is pre-trained on them.

    Args:
        run: folder of the run, laid out as in docs/artifacts.md.
        first: 1-based.
        last: at least `first`.
        config: of the run.
        threads: worker threads; None: all CPUs.

    Raises:
        UserError: as the stages.
    """
    for epoch in range(first, last + 1):
        inputs = epoch_inputs(run, epoch, config.use_gcn)
        folder = inputs.features.parent
        if epoch > 1:
            run_features(inputs.index, inputs.pixels, inputs.model, inputs.features, config)
            graph = folder / "graph.h5"
            run_graph(inputs.features, graph, config, threads, inputs.index)
            run_cluster(inputs.index, graph, inputs.clusters, config)
        run_train(inputs, folder, epoch, config)


def epoch_inputs(run: Path, epoch: int, use_gcn: bool) -> TrainInputs:
    """Return the files that an epoch of a run trains from."""
    here, before = run / f"epochs/{epoch:03d}", run / f"epochs/{epoch - 1:03d}"
    start = epoch == 1
    return TrainInputs(
        index=run / "index.h5",
        pixels=run / "pixels.h5",
        features=here / "features.h5",
        clusters=here / "clusters.h5",
        model=run / "init/model.safetensors" if start else before / "model.safetensors",
        previous_clusters=None if start else before / "clusters.h5",
        state=None if start else before / "state.pt",
        graph=here / "graph.h5" if use_gcn else None,
        metadata=run / "gcn/metadata.h5" if use_gcn else None,
        gcn=_gcn_before(run, epoch) if use_gcn else None,
    )


def _gcn_before(run: Path, epoch: int) -> Path:
    name = "gcn/pretrained" if epoch == 1 else f"epochs/{epoch - 1:03d}/gcn"
    return run / f"{name}.safetensors"
