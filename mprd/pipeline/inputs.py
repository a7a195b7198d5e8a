"""Which files of a run the stages of an epoch read."""

from dataclasses import dataclass
from pathlib import Path

from mprd.config import Config
from mprd.errors import UserError
from mprd.pipeline.layout import FIRST_EPOCH, FinalLayout, RunLayout


@dataclass(frozen=True, kw_only=True)
class EpochInputs:
    """The files that stage `train` reads.

    Attributes:
        index: of the run.
        pixels: of the run.
        features: of this epoch.
        clusters: of this epoch.
        model: the CNN of the epoch before (epoch 1: the initial one).
        previous_clusters: of the epoch before, None in epoch 1.
        state: of the epoch before, None in epoch 1.
        graph: of this epoch (`use_gcn`).
        ranks: of this epoch (`use_gcn` with `graph.backend: ivf`).
        metadata: of the run (`use_gcn`).
        gcn: the relation GCN of the epoch before (epoch 1: the pre-trained one) (`use_gcn`).
        provisional_clusters: of this epoch (`cluster.relation: judged`).
    """

    index: Path
    pixels: Path
    features: Path
    clusters: Path
    model: Path
    previous_clusters: Path | None = None
    state: Path | None = None
    graph: Path | None = None
    ranks: Path | None = None
    metadata: Path | None = None
    gcn: Path | None = None
    provisional_clusters: Path | None = None

    def files(self) -> dict[str, Path]:
        """Return those that are given, by role."""
        return existing_files(self)


def epoch_inputs(run: RunLayout, epoch: int, config: Config) -> EpochInputs:
    """Return the files that an epoch of a run trains from.

    Args:
        run: layout of the run.
        epoch: 1-based.
        config: of the run.
    """
    here, before = run.epoch(epoch), run.epoch(epoch - 1)
    first = epoch == FIRST_EPOCH
    return EpochInputs(
        index=run.index,
        pixels=run.pixels,
        features=here.features,
        clusters=here.clusters,
        model=run.model_after(epoch - 1),
        previous_clusters=None if first else before.clusters,
        state=None if first else before.state,
        graph=here.graph if config.use_gcn else None,
        ranks=here.ranks if config.uses_ranks else None,
        metadata=run.metadata if config.use_gcn else None,
        gcn=run.gcn_after(epoch - 1) if config.use_gcn else None,
        provisional_clusters=here.provisional_clusters if config.uses_judgements else None,
    )


def previous_labels(run: RunLayout, epoch: int, config: Config) -> Path | None:
    """Return the clusters that those of an epoch go on from, if any (`cluster.self_paced`).

    Args:
        run: layout of the run.
        epoch: 1-based.
        config: of the run.
    """
    goes_on = config.cluster.self_paced and epoch > FIRST_EPOCH
    return run.epoch(epoch - 1).clusters if goes_on else None


@dataclass(frozen=True, kw_only=True)
class JudgeInputs:
    """The files that stage `judge` reads.

    Attributes:
        index: of the run.
        features: of this epoch.
        graph: of this epoch.
        provisional_clusters: of this epoch, by Jaccard distance.
        gcn: the relation GCN of the epoch before (epoch 1: the pre-trained one).
        ranks: of this epoch; None: all images are compared.
    """

    index: Path
    features: Path
    graph: Path
    provisional_clusters: Path
    gcn: Path
    ranks: Path | None = None

    def files(self) -> dict[str, Path]:
        """Return those that are given, by role."""
        return existing_files(self)


def judge_inputs(run: RunLayout, epoch: int, config: Config) -> JudgeInputs:
    """Return the files that the judgements of an epoch come from.

    Args:
        run: layout of the run.
        epoch: 1-based.
        config: of the run.
    """
    here = run.epoch(epoch)
    return JudgeInputs(
        index=run.index,
        features=here.features,
        graph=here.graph,
        provisional_clusters=here.provisional_clusters,
        gcn=run.gcn_after(epoch - 1),
        ranks=here.ranks if config.uses_ranks else None,
    )


@dataclass(frozen=True, kw_only=True)
class InitialFiles:
    """The files that stages `metadata` and `pretrain` read, all made by the initial model.

    Attributes:
        index: of the run.
        pixels: of the run.
        model: the initial CNN.
        features: of epoch 1.
        graph: of epoch 1.
    """

    index: Path
    pixels: Path
    model: Path
    features: Path
    graph: Path


def initial_files(run: RunLayout) -> InitialFiles:
    """Return the files of a run that the relation GCN begins with."""
    first = run.epoch(FIRST_EPOCH)
    return InitialFiles(
        index=run.index,
        pixels=run.pixels,
        model=run.initial_model,
        features=first.features,
        graph=first.graph,
    )


def require_other(config: Config, final: FinalLayout) -> None:
    """Check that a run is not to take the numbers of its clusters from the file that it writes.

    Raises:
        UserError: it is.
    """
    numbers = config.export.numbers
    if numbers is not None and numbers.resolve() == final.table.resolve():
        raise UserError(
            f"export.numbers names {numbers}, which this run writes anew. Copy it to another place "
            "first, and name the copy."
        )


def existing_files(inputs: EpochInputs | JudgeInputs) -> dict[str, Path]:
    """Return the files that are given, by role."""
    return {name: path for name, path in vars(inputs).items() if path is not None}
