"""The jobs of a run: which stages it has in which steps, with files, options and provenance.

The workflow asks here for everything but Snakemake's own words. A job is named by its stage and its
step: the number of an epoch, `FINAL`, the name of an evaluation, or None.
"""

import json
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

from mprd.config import Config, Run, dump_yaml
from mprd.errors import EPOCHS, FINAL
from mprd.pipeline.conditions import SYNTHETIC
from mprd.pipeline.files import Step, files_read, files_written, output_arguments
from mprd.pipeline.freshness import Freshness, Job, JobFiles
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout, epoch_name
from mprd.pipeline.location import data_location
from mprd.pipeline.pieces import spelling_key
from mprd.pipeline.provenance import Provenance, is_shared
from mprd.pipeline.shared import SHARED_ROLES, shared_folder
from mprd.pipeline.stage import Place
from mprd.pipeline.stages import STAGES, stage


class RunPlan:
    """The jobs of one run."""

    def __init__(
        self, run: Run, listing: Callable[[Config], str], digest: Callable[[Path], str]
    ) -> None:
        """Plan a run; nothing is looked at yet.

        Args:
            run: name and config.
            listing: returns a digest of what lies in the folder of a data set.
            digest: returns the digest of a file's content.
        """
        self.name, self.config = run.name, run.config
        self.layout = RunLayout(run.config.results / run.name)
        self.provenance = Provenance(run.config, self.layout, listing)
        self._digest = digest
        self._reads: dict[tuple[str, Step], dict[str, Path]] = {}

    @cached_property
    def config_text(self) -> str:
        """The complete settings of the run as YAML."""
        return dump_yaml(self.config)

    @property
    def config_provenance(self) -> Path:
        """The file that stands for the present state of all settings."""
        return self.provenance.path_of("config", json.dumps({"settings": self.config_text}))

    def config_is_written(self) -> bool:
        """Tell whether the run's `config.yaml` holds its settings.

        Where the results lie does not count: a folder can be reached by many paths.
        """
        path = self.layout.config
        if not path.is_file():
            return False
        texts = (path.read_text(encoding="utf-8"), self.config_text)
        old, new = (
            [n for n in text.splitlines() if not n.startswith("results:")] for text in texts
        )
        return old == new

    @cached_property
    def freshness(self) -> Freshness:
        """What is known of the contents of the run's files."""
        return Freshness(self.layout, lambda: dict(self._jobs()), self._digest)

    def home(self, name: str) -> RunLayout:
        """Return the layout that a stage writes into: the run's, or that of a shared folder."""
        if not is_shared(name):
            return self.layout
        return RunLayout(shared_folder(self.config.results) / self.provenance.shared_key(name))

    def reads(self, name: str, step: Step = None) -> dict[str, Path]:
        """Return the files that a job reads, by option."""
        if (name, step) not in self._reads:
            found = files_read(stage(name), self.layout, step, self.config)
            self._reads[name, step] = {
                read.flag.removeprefix("--"): self._shared(read.role) if is_shared(name) else path
                for read, path in found.items()
            }
        return self._reads[name, step]

    def reads_also(self, name: str) -> list[Path]:
        """Return the files of several steps that a stage which looks back on a run reads."""
        if name == "table":
            return self.table_inputs()
        return [*self.final_files(), self.layout.pixels] if name == "report" else []

    def writes(self, name: str, step: Step = None) -> dict[str, Path]:
        """Return the files that a job writes, by role."""
        return files_written(stage(name), self.home(name), step, self.config)

    def provenance_file(self, name: str, step: Step = None) -> Path | None:
        """Return the provenance of a job; None for a shared one, which its folder's name holds."""
        if is_shared(name):
            return None
        piece = self._piece(name, step)
        return self.provenance.path(name, final=step == FINAL, piece=piece)

    def records(self) -> list[Path]:
        """Return the files of provenance that the run has."""
        jobs = [files.provenance for files in self.freshness.jobs.values()]
        links = [self.link_record(RunLayout.roles()[role].name) for role in self.shared_sources()]
        found = [self.config_provenance, *links, *filter(None, jobs)]
        return list(dict.fromkeys(found))

    def done(self, name: str, step: Step = None) -> bool:
        """Tell whether a job has nothing to do, by what its files hold."""
        return self.freshness.done((name, _step_name(step)), self.writes(name, step).values())

    def command(self, name: str, step: Step, threads: int) -> list[str]:
        """Return the command of a job, word by word."""
        one = stage(name)
        files = self.reads(name, step) | {
            key.replace("_", "-"): path
            for key, path in output_arguments(one, self.home(name), step, self.config).items()
        }
        words = ["mprd", one.command or one.name, "--config", str(self.home(name).config)]
        words += ["--baseline", str(step)] if self._piece(name, step) else []
        words += [part for key, path in files.items() for part in (f"--{key}", str(path))]
        for option in one.options:
            if option.name == "epoch":
                words += ["--epoch", str(step)]
            elif option.name == "final" and step == FINAL:
                words.append("--final")
            elif option.name == "decisions" and step == FINAL and self.layout.decisions.is_file():
                words += ["--decisions", str(self.layout.decisions)]
        if one.device or one.workers:
            words += ["--threads", str(threads)]
        return words

    def steps(self, name: str) -> list[Step]:
        """Return the steps in which the run does a stage, ascending."""
        one = stage(name)
        if not one.exists(self.config) or one.place in (Place.DATA, Place.CONFIG):
            return []
        epochs: list[Step] = [*range(FIRST_EPOCH, self.config.epochs + 1)]
        at_the_end: list[Step] = [FINAL] if one.at_the_end(self.config) else []
        steps: dict[Place, list[Step]] = {
            Place.STEP: [*epochs, *at_the_end],
            Place.EPOCH: epochs,
            Place.FINAL: [FINAL],
            Place.EVALUATION: list(self.evaluations()),
        }
        return steps.get(one.place, [None])

    def evaluations(self) -> Iterator[str]:
        """Yield what is evaluated: baselines, the initial model, and some epochs."""
        settings = self.config.evaluate
        if not stage("evaluate").exists(self.config):
            return
        folder = spelling_key(self.config.data.dataset) == "folder"
        if folder and data_location(self.config).is_dir():
            return  # without a manifest nobody is a query
        every, last = settings.every, self.config.epochs
        epochs = set(range(every, last + 1, every)) if every else set()
        yield from settings.baselines
        yield from map(epoch_name, sorted({0, last} | epochs))  # 0: the initial model

    def table_inputs(self) -> list[Path]:
        """Return what the table of metrics is made from, epochs ascending.

        Each epoch asks for the one before, so the first must be resolved first.
        """
        epochs = [self.layout.epoch(n) for n in range(FIRST_EPOCH, self.config.epochs + 1)]
        files = [path for epoch in epochs for path in (epoch.clusters, epoch.metrics)]
        if not epochs:
            files.append(self.layout.final.clusters)
        return files + [self.layout.evaluation(name) for name in self.evaluations()]

    def results(self) -> list[Path]:
        """Return the files that a whole run is asked for."""
        epochs = [self.layout.epoch(n) for n in range(FIRST_EPOCH, self.config.epochs + 1)]
        models = [epoch.model for epoch in epochs]  # ascending: each asks for the one before
        learned = [epochs[-1].gcn] if self.config.learns else []
        start = [self.layout.initial_metrics] if stage("init").exists(self.config) else []
        start += [self.layout.start_table] if epochs else []
        tables = [self.layout.table, self.layout.report, self.layout.final.table]
        return [self.layout.config, *start, *models, *learned, *tables]

    def shared_sources(self) -> dict[str, Path]:
        """Return the files in shared folders that the run links to, by role."""
        return {
            role: self._shared(role)
            for role, name in SHARED_ROLES.items()
            if stage(name).exists(self.config)
        }

    def shared_source(self, name: str) -> Path:
        """Return the file in a shared folder that a file of the run links to, by its name."""
        roles = RunLayout.roles()
        return next(self._shared(role) for role in SHARED_ROLES if roles[role].name == name)

    def link_done(self, name: str) -> bool:
        """Tell whether a file of the run is the link that it should be, by its name."""
        role = next(role for role in SHARED_ROLES if RunLayout.roles()[role].name == name)
        link = getattr(self.layout, role)
        return self.freshness.done(("link", role), [link]) and link.samefile(self._shared(role))

    def link_record(self, name: str) -> Path:
        """Return the file that stands for what a file of the run links to, by its name."""
        target = os.path.relpath(self.shared_source(name), self.layout.folder)
        label = f"link_{name.partition('.')[0].replace('/', '_')}"
        return self.provenance.path_of(label, json.dumps({"settings": {"target": target}}))

    @property
    def index(self) -> Path:
        """The index in its shared folder."""
        return self._shared("index")

    def final_files(self) -> list[Path]:
        """Return what the end of the run leaves, the report excepted."""
        found = [self.writes(one.name, FINAL) for one in STAGES if FINAL in self.steps(one.name)]
        return [path for files in found for path in files.values()]

    def blocks(self) -> list[tuple[int, int]]:
        """Return first and last epoch of each job that does several epochs."""
        size, last = self.config.epochs_per_job, self.config.epochs
        return [(n, min(n + size - 1, last)) for n in range(FIRST_EPOCH, last + 1, size)]

    def block_outputs(self, first: int, last: int) -> list[Path]:
        """Return what a job of the epochs `first` to `last` makes."""
        return [path for job in self._block(first, last) for path in self.writes(*job).values()]

    def block_inputs(self, first: int, last: int) -> list[Path]:
        """Return what it reads and does not make."""
        made = set(self.block_outputs(first, last))
        jobs = list(self._block(first, last))
        found = [path for job in jobs for path in self.reads(*job).values() if path not in made]
        return list(dict.fromkeys(found))

    def block_provenance(self, first: int, last: int) -> list[Path]:
        """Return the provenance of its stages."""
        found = [self.provenance_file(*job) for job in self._block(first, last)]
        return list(dict.fromkeys(path for path in found if path is not None))

    def block_done(self, first: int, last: int) -> bool:
        """Tell whether such a job has nothing to do."""
        return all(self.done(*job) for job in self._block(first, last))

    def block_name(self, first: int, last: int) -> tuple[str, str]:
        """Return what its log and benchmark are called."""
        return EPOCHS, f"{epoch_name(first)}-{epoch_name(last)}"

    def _block(self, first: int, last: int) -> Iterator[tuple[str, Step]]:
        """Yield the stages and epochs of such a job; the labels of epoch 1 are made before."""
        for epoch in range(first, last + 1):
            for one in STAGES:
                labels = one.place is Place.STEP and epoch > FIRST_EPOCH
                if one.exists(self.config) and (labels or one.place is Place.EPOCH):
                    yield one.name, epoch

    @property
    def synthetic(self) -> Path | None:
        """The folder of synthetic images; None for a data set that is already there."""
        return data_location(self.config) if SYNTHETIC.holds(self.config) else None

    def _piece(self, name: str, step: Step) -> str:
        """Return the descriptor that a baseline's evaluation is of; "": another job."""
        baseline = name == "evaluate" and not str(step).isdecimal()
        return str(step) if baseline else ""

    def _shared(self, role: str) -> Path:
        return getattr(self.home(SHARED_ROLES[role]), role)

    def _jobs(self) -> Iterator[tuple[Job, JobFiles]]:
        makers: dict[Path, Job] = {}
        found: list[tuple[Job, tuple[Path, ...], Path | None, tuple[Path, ...]]] = []
        for role, path in self.shared_sources().items():
            found.append((("link", role), (path,), None, (getattr(self.layout, role),)))
        for one in STAGES:
            for step in self.steps(one.name):
                reads = (*self.reads(one.name, step).values(), *self.reads_also(one.name))
                writes = tuple(self.writes(one.name, step).values())
                provenance = self.provenance_file(one.name, step)
                found.append(((one.name, _step_name(step)), reads, provenance, writes))
        for job, _, _, writes in found:
            makers |= dict.fromkeys(writes, job)
        jobs: dict[Job, JobFiles] = {}
        for job, reads, provenance, writes in found:
            after = {makers[path]: None for path in reads if path in makers}
            jobs[job] = JobFiles(reads, writes, provenance, tuple(after))
        for job in TopologicalSorter({job: jobs[job].after for job in jobs}).static_order():
            yield job, jobs[job]


def _step_name(step: Step) -> str:
    return "" if step is None else epoch_name(step) if isinstance(step, int) else step
