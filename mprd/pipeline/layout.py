"""Every path of a run, stated once: the workflow, the stages and the docs take them from here.

A path may hold wildcards: `RunLayout(Path("results/{run}")).epoch("{epoch}").clusters` is what a
Snakemake rule writes.
"""

from collections.abc import Iterator
from pathlib import Path

from mprd.errors import EPOCHS, FINAL, UserError, why_no_folder
from mprd.pipeline.folder import File, Folder

FIRST_EPOCH = 1
EVALUATIONS = "evaluation"  # folder of a run
INITIAL = "000"  # names the evaluation of the initial model, as 001 names that after epoch 1


class StepLayout(Folder):
    """What labelling leaves: of an epoch, or at the end of a run."""

    features = File("features.h5", "embeddings of the training images, by the model so far")
    graph = File("graph.h5", "their neighbours and Jaccard distances")
    transitions = File(
        "transitions.h5", "how long people take between cameras, evidence for each pair (use_time)"
    )
    ranks = File(
        "ranks.h5", "similarity to the images of every camera (use_gcn, graph.backend: ivf)"
    )
    provisional_clusters = File(
        "drafts.h5", "clusters by Jaccard distance, whose pairs are doubtful (judged)"
    )
    judgements = File("judgements.h5", "the relation GCN's predictions for the pairs (judged)")
    clusters = File("clusters.h5", "pseudo-labels")

    def doubtful(self, uses_predictions: bool) -> Path:
        """Return the clusters inside which pairs are doubtful: the GCN learns from these."""
        return self.provisional_clusters if uses_predictions else self.clusters


class EpochLayout(StepLayout):
    """The files of one epoch, `epochs/<number>` of a run."""

    model = File("model.safetensors", "the CNN after the epoch")
    state = File("state.pt", "optimiser and random state after the epoch")
    metrics = File("metrics.json", "losses and counts of the training")
    relations = File("relations.h5", "the GCN's predictions for hard pairs (use_gcn)")
    collected = File("collected.h5", "pairs that the GCN learns from (use_gcn)")
    gcn = File("gcn.safetensors", "the relation GCN after the epoch (use_gcn, gcn.learn)")
    gcn_metrics = File("gcn.json", "its losses (use_gcn, gcn.learn)")


class FinalLayout(StepLayout):
    """What a run leaves for its user, `final` of a run."""

    model = File("model.safetensors", "the last model")
    embeddings = File("embeddings.h5", "embeddings of all images by this model")
    table = File("clusters.csv", "clusters as a table: path, cluster, doubt, camera, identity")

    added = File("added.h5", "images that came later, and their clusters (mprd add)")
    undecided = File(
        "clusters_undecided.csv", "their numbers without decisions.csv, which come back without it"
    )

    def recut(self, name: str) -> Path:
        """Return the table of the clusters at another cut: `finer`, `coarser`, or a threshold."""
        return self.folder / f"clusters_{name}.csv"


class RunLayout(Folder):
    """The files of one run, `<results>/<run>`."""

    config = File("config.yaml", "the complete settings of the run")
    index = File("index.h5", "all images (a link into `shared`)")
    pixels = File("pixels.h5", "the images, decoded and resized (a link, likewise)")
    initial_model = File("init/model.safetensors", "the CNN before epoch 1 (a link, likewise)")
    initial_metrics = File(
        "init/metrics.json", "losses of the warm-up, file of the hub (a link, likewise)"
    )
    metadata = File("gcn/metadata.h5", "pairs known with certainty (use_gcn)")
    initial_gcn = File("gcn/pretrained.safetensors", "the relation GCN before epoch 1 (use_gcn)")
    initial_gcn_metrics = File("gcn/metrics.json", "losses and quality of its pre-training")
    start_table = File("start/clusters.csv", "the clusters before training, as a table")
    start_audit = File("start/audit.csv", "an audit of them (mprd audit --start), as audit.csv")
    table = File("metrics.csv", "one row per baseline, for the initial model, and per epoch")
    report = File("report.html", "the run as a page to look at")
    decisions = File("decisions.csv", "what people decided about images (mprd answer, mprd browse)")
    audit = File("audit.csv", "random pairs, and answers that measure the clusters (mprd audit)")
    beside_audit = File(
        "audit_beside.csv", "an audit of two clusterings by the same pairs (mprd audit --beside)"
    )
    count = File("count.csv", "random clusters to check, to count individuals (mprd count)")

    @property
    def final(self) -> FinalLayout:
        """Return the files that a run leaves for its user."""
        return FinalLayout(self.folder / FINAL)

    def epoch(self, number: int | str) -> EpochLayout:
        """Return the files of an epoch, 1-based (or a wildcard)."""
        name = epoch_name(number) if isinstance(number, int) else number
        return EpochLayout(self.folder / EPOCHS / name)

    def step(self, step: int | str) -> EpochLayout | FinalLayout:
        """Return the files of an epoch (its number) or of the end (`FINAL`)."""
        return self.epoch(step) if isinstance(step, int) else self.final

    @property
    def provenance(self) -> Path:
        """Return the folder of what decides that stages run again."""
        return self.folder / "provenance"

    def evaluation(self, name: str) -> Path:
        """Return the metrics of an evaluation: of an epoch, of `INITIAL`, or of a baseline."""
        return self.folder / EVALUATIONS / f"{name}.json"

    def rankings(self, name: str) -> Path:
        """Return the per-query results of an evaluation."""
        return self.folder / EVALUATIONS / f"{name}.rankings.h5"

    def baselines(self) -> list[str]:
        """Return the names of the baselines whose metrics are on disk, sorted."""
        names = (path.stem for path in self.folder.glob("evaluation/*.json"))
        return sorted(name for name in names if not name.isdecimal())

    def reports(self) -> list[Path]:
        """Return the metrics of epochs and evaluations that are on disk, sorted."""
        metrics = [self.epoch(number).metrics for number in self.epochs_with("metrics")]
        return metrics + sorted(self.folder.glob("evaluation/*.json"))

    @property
    def events(self) -> Path:
        """The folder of TensorBoard's events (`mprd run --tensorboard`)."""
        return self.folder / "events"

    @property
    def logs(self) -> Path:
        """The folder of all logs."""
        return self.folder / "logs"

    @property
    def benchmarks(self) -> Path:
        """The folder of what was measured of the jobs."""
        return self.folder / "benchmarks"

    def log(self, *job: str) -> Path:
        """Return the log of a job, such as `"epochs", "001", "train"`."""
        return self.logs.joinpath(*job[:-1], f"{job[-1]}.log")

    def benchmark(self, *job: str) -> Path:
        """Return time and memory of a job."""
        return self.benchmarks.joinpath(*job[:-1], f"{job[-1]}.tsv")

    def model_after(self, epoch: int) -> Path:
        """Return the CNN after an epoch; after epoch 0 it is the initial one."""
        return self.epoch(epoch).model if epoch >= FIRST_EPOCH else self.initial_model

    def epochs_with(self, role: str) -> list[int]:
        """Return the epochs on disk that have a file, ascending.

        Args:
            role: an attribute of `EpochLayout`, such as `clusters`.
        """
        names = (path.name for path in self.folder.glob("epochs/[0-9]*"))
        numbers = sorted(int(name) for name in names if name.isdecimal())
        return [number for number in numbers if getattr(self.epoch(number), role).is_file()]


def epoch_name(epoch: int) -> str:
    """Return the name of an epoch in paths: three digits, so that names sort."""
    return f"{epoch:03d}"


def log_prefix(path: Path) -> str:
    """Return what a stage's line on the console is about, by a file that it writes.

    Example:
        >>> log_prefix(Path("results/demo/epochs/003/clusters.h5"))
        'demo, epoch 3: '
        >>> log_prefix(Path("results/demo/final/clusters.h5"))
        'demo, at the end: '
        >>> log_prefix(Path("clusters.h5"))
        ''
    """
    folders = [parent.name for parent in path.parents]
    if len(folders) > 1 and folders[0] == FINAL:
        return f"{folders[1]}, at the end: "
    for depth, name in enumerate(folders):
        if name in (EPOCHS, EVALUATIONS) and depth + 1 < len(folders):
            number = folders[depth - 1] if name == EPOCHS else path.stem
            what = f"epoch {int(number)}" if number.isdecimal() else number
            return f"{folders[depth + 1]}, {what}: "
    return ""


def describe() -> str:
    """Return the layout of a run as lines of text, for docs/artifacts.md."""
    run = RunLayout(Path("results/<run>"))
    lines = [
        *_lines(run),
        *_lines(run.epoch("<epoch>")),
        (run.evaluation("<name>"), f"metrics; <name>: an epoch, {INITIAL} (initial), a baseline"),
        (run.rankings("<name>"), "the results of each query"),
        *_lines(run.final),
        (run.final.recut("<cut>"), "the same table at another cut (mprd recluster)"),
        (run.final.folder / "clusters_audited.csv", "with a probability (mprd audit)"),
        (run.final.folder / "clusters.<n>.csv", "tables that a run replaced; 1: the latest"),
        (run.final.folder / "clusters.<n>_<what>.csv", "what was made of these: a cut, audited"),
        (run.provenance / "<stage>-<hash>.json", "what decides that a stage runs again"),
        (run.log("<job>"), "what a job printed"),
        (run.benchmark("<job>"), "its time and memory"),
        (summary_table(Path("results")), "mean and standard deviation over seeds (several runs)"),
        (comparison(Path("results")), "the runs side by side, as a page to look at (several runs)"),
    ]
    width = max(len(str(path)) for path, _ in lines)
    return "".join(f"{path!s:{width}}  {text}\n" for path, text in lines)


def summary_table(results: Path) -> Path:
    """Return the table over all runs of a config."""
    return results / "summary.csv"


def comparison(results: Path) -> Path:
    """Return the page that shows all runs of a config side by side."""
    return results / "report.html"


def _lines(folder: Folder) -> list[tuple[Path, str]]:
    return [(folder.folder / file.name, file.holds) for file in folder.declared()]


def runs_above(file: Path) -> Iterator[RunLayout]:
    """Yield the layouts of the runs that a file lies in, the nearest first."""
    for folder in file.absolute().parents:
        if RunLayout(folder).config.is_file():
            yield RunLayout(folder)


def run_around(file: Path) -> RunLayout:
    """Return the layout of the run that a file lies in.

    Raises:
        UserError: it lies in none.
    """
    for run in runs_above(file):
        return run
    raise UserError(
        f"{file} lies in no folder of a run, which knows cameras and times. Name the "
        "final/model.safetensors of a run, or with --features its final/embeddings.h5."
    )


def run_of(folder: Path) -> RunLayout:
    """Return the layout of a folder that a user calls a run.

    Raises:
        UserError: no run was started there; one above or below is offered.
    """
    if (layout := RunLayout(folder)).config.is_file():
        return layout
    name = layout.config.name
    above = [path for path in folder.absolute().parents if (path / name).is_file()]
    near = [*above[:1], *sorted(path.parent for path in folder.glob(f"*/{name}"))]
    why = why_no_folder(folder)
    if folder.is_dir():
        why = f"there is no {name}, which a run writes when it starts"
    offer = f" Perhaps {near[0]}?" if near else ""
    raise UserError(f"{folder} is no folder of a run: {why}.{offer}")
