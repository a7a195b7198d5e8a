"""Several epochs in one process: the same stage functions, the same artifacts."""

from pathlib import Path

from mprd.config import Config
from mprd.pipeline.inputs import epoch_inputs, initial_files, judge_inputs, previous_labels
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout
from mprd.stages.cluster import run_cluster
from mprd.stages.features import run_features
from mprd.stages.graph import run_graph
from mprd.stages.train import run_train
from mprd.system import group


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
        if epoch > FIRST_EPOCH:
            make_pseudo_labels(layout, epoch, config, threads)
        inputs = epoch_inputs(layout, epoch, config)
        run_train(inputs, out=layout.epoch(epoch), epoch=epoch, config=config)
        group.wait()


def make_pseudo_labels(
    run: RunLayout, epoch: int, config: Config, threads: int | None = None
) -> None:
    """Make the pseudo-labels of an epoch and all that they come from.

    In epoch 1 the relation GCN is made, too: it needs clusters by distance, judgements need it.

    Args:
        run: layout of the run.
        epoch: 1-based.
        config: of the run.
        threads: worker threads; None: all CPUs.

    Raises:
        UserError: as the stages.
    """
    cluster_by_distance(run, epoch, config, threads)
    if config.use_gcn and epoch == FIRST_EPOCH:
        pretrain_relations(run, config)
    if config.uses_judgements:
        cluster_by_predictions(run, epoch, config)


def cluster_by_distance(
    run: RunLayout, epoch: int, config: Config, threads: int | None = None
) -> None:
    """Make features, graph, clusters by Jaccard distance (and the GCN's ranks) of an epoch.

    These clusters are the epoch's pseudo-labels, or provisional ones if they are to be judged.

    Args:
        run: layout of the run.
        epoch: 1-based.
        config: of the run.
        threads: worker threads; None: all CPUs.

    Raises:
        UserError: as the stages.
    """
    inputs, here = epoch_inputs(run, epoch, config), run.epoch(epoch)
    run_features(
        index=inputs.index,
        pixels=inputs.pixels,
        model=inputs.model,
        out=here.features,
        config=config,
    )
    if group.writes():  # a group shares what takes the network
        run_graph(
            features=here.features,
            index=inputs.index,
            out=here.graph,
            config=config,
            threads=threads,
        )
        run_cluster(
            index=inputs.index,
            graph=here.graph,
            out=here.doubtful(config.uses_judgements),
            config=config,
            previous=previous_labels(run, epoch, config),
        )
        if config.uses_ranks:
            from mprd.stages.ranks import run_ranks

            run_ranks(index=inputs.index, features=here.features, out=here.ranks, config=config)
    group.wait()


def cluster_by_predictions(run: RunLayout, epoch: int, config: Config) -> None:
    """Make the judgements of an epoch and the pseudo-labels that follow from them.

    Args:
        run: layout of the run, with what `cluster_by_distance` makes, and the GCN of the epoch
            before.
        epoch: 1-based.
        config: of the run, with `cluster.relation: judged`.

    Raises:
        UserError: as the stages.
    """
    from mprd.stages.judge import run_judge

    here = run.epoch(epoch)
    run_judge(judge_inputs(run, epoch, config), out=here.judgements, config=config)
    if group.writes():
        run_cluster(
            index=run.index,
            graph=here.graph,
            judgements=here.judgements,
            out=here.clusters,
            config=config,
        )
    group.wait()


def pretrain_relations(run: RunLayout, config: Config) -> None:
    """Make the relation GCN that epoch 1 begins with.

    Args:
        run: layout of the run, with what `cluster_by_distance` makes of epoch 1.
        config: of the run, with `use_gcn`.

    Raises:
        UserError: as the stages.
    """
    from mprd.stages.metadata import run_metadata
    from mprd.stages.pretrain import run_pretrain

    files, first = initial_files(run), run.epoch(FIRST_EPOCH)
    run_metadata(files, out=run.metadata, config=config)
    run_pretrain(
        files,
        clusters=first.doubtful(config.uses_judgements),
        metadata=run.metadata,
        out=run.initial_gcn,
        metrics=run.initial_gcn_metrics,
        config=config,
        ranks=first.ranks if config.uses_ranks else None,
    )
