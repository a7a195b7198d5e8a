"""Several epochs in one process: the same stage functions, the same artifacts."""

from pathlib import Path

from mprd.config import Config
from mprd.pipeline.layout import FIRST_EPOCH, EpochInputs, EpochLayout, RunLayout, epoch_inputs
from mprd.stages.cluster import run_cluster
from mprd.stages.features import run_features
from mprd.stages.graph import run_graph
from mprd.stages.train import run_train


def run_epochs(
    run: Path, *, first: int, last: int, config: Config, threads: int | None = None
) -> None:
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
    layout = RunLayout(run)
    for epoch in range(first, last + 1):
        inputs, here = epoch_inputs(layout, epoch, config.use_gcn), layout.epoch(epoch)
        if epoch > FIRST_EPOCH:
            label_epoch(inputs, out=here, config=config, threads=threads)
        run_train(inputs, out=here, epoch=epoch, config=config)


def label_epoch(
    inputs: EpochInputs, *, out: EpochLayout, config: Config, threads: int | None = None
) -> None:
    """Make the features, the graph and the pseudo-labels of an epoch.

    Args:
        inputs: files of the epoch.
        out: files of the epoch.
        config: of the run.
        threads: worker threads; None: all CPUs.

    Raises:
        UserError: as the stages.
    """
    run_features(
        index=inputs.index,
        pixels=inputs.pixels,
        model=inputs.model,
        out=out.features,
        config=config,
    )
    run_graph(
        features=out.features, index=inputs.index, out=out.graph, config=config, threads=threads
    )
    run_cluster(index=inputs.index, graph=out.graph, out=out.clusters, config=config)
