# Runs and their settings, and what decides that a job runs again. Paths come from mprd.pipeline.layout.
import json
import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from mprd.artifacts.files import atomic
from mprd.config import dump_yaml, expand_runs
from mprd.errors import UserError
from mprd.pipeline.code_digest import code_digest, piece_digest
from mprd.pipeline.idle import idle_settings
from mprd.pipeline.inputs import (
    epoch_inputs,
    initial_files,
    judge_inputs,
    previous_labels,
    require_other,
)
from mprd.pipeline.layout import (
    FIRST_EPOCH,
    INITIAL,
    RunLayout,
    comparison,
    epoch_name,
    summary_table,
)
from mprd.pipeline.pieces import spelling_key
from mprd.pipeline.registry import check_names
from mprd.pipeline.shared import SHARED
from mprd.pipeline.settings import (
    data_location,
    is_synthetic,
    stage_settings,
    synthetic_folder,
    user_files,
)

# An epoch asks for the one before, so the DAG is as deep as there are epochs.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))

CONFIG_FILES = (
    ", ".join(map(str, workflow.overwrite_configfiles)) or "config/config.yaml"
)
try:
    RUNS = {run.name: run for run in expand_runs(dict(config), CONFIG_FILES)}
    for run in RUNS.values():
        check_names(run.config)
        require_other(run.config, RunLayout(run.config.results / run.name).final)
except UserError as error:
    raise WorkflowError(str(error)) from None

RESULTS = next(iter(RUNS.values())).config.results
RUN = RunLayout(RESULTS / "{run}")  # of a rule: with a wildcard
EPOCH = RUN.epoch("{epoch}")

# The stages run in the environment that runs Snakemake, activated or not.
shell.prefix(
    f"set -euo pipefail; export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; "
)


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)),
    epoch="[0-9]{3}",


def layout(run):
    """The files of a run."""
    return RunLayout(RESULTS / run)


def options(files):
    """Command line options that name files, by role; in a shell command to be quoted, `:q`."""
    names = {"provisional_clusters": "drafts"}
    pairs = [
        (f"--{names.get(role, role).replace('_', '-')}", str(path))
        for role, path in files.items()
    ]
    return [part for pair in pairs for part in pair]


def version(run, *stages):
    """All that decides the result of some stages beside their input files."""
    config = RUNS[run].config
    return json.dumps(
        {
            stage: [stage_settings(config, stage), code_digest(stage, config)]
            for stage in stages
        },
        sort_keys=True,
    )


def version_of(stage):
    """Params of a rule: a change of these settings or of the stage's code runs it again."""
    return lambda wildcards: version(wildcards.run, stage)


def own_files(stage):
    """Input of a rule: the user's own files whose content the stage reads."""
    return lambda wildcards: user_files(RUNS[wildcards.run].config, stage)


def owner(run, *stages):
    """The first run that computes the same: equal settings share index, pixels and start."""

    def all_that_counts(run):
        files = [user_files(RUNS[run].config, stage) for stage in stages]
        return data_source(run), version(run, *stages), files

    wanted = all_that_counts(run)
    return next(r for r in RUNS if all_that_counts(r) == wanted)


def data_source(run):
    """The folder of synthetic images, or None for a data set that is already there."""
    if is_synthetic(RUNS[run].config):
        return str(synthetic_folder(RUNS[run].config))
    return None


def runs_where(condition):
    """Wildcard pattern of the runs for which a condition holds; matches nothing if none."""
    return "|".join(re.escape(run) for run in RUNS if condition(run)) or "(?!)"


def owners(*stages):
    """Wildcard pattern of the runs that compute these stages themselves."""
    return runs_where(lambda run: owner(run, *stages) == run)


def sharers(*stages):
    """Wildcard pattern of the others."""
    return runs_where(lambda run: owner(run, *stages) != run)


def link_target(shared, link):
    """The shared file as seen from the link, so that a results folder can be moved."""
    return os.path.relpath(shared, os.path.dirname(link))


def evaluations(run):
    """Figures that a run leaves: baselines, the initial model, and some epochs."""
    config, files = RUNS[run].config, layout(run)
    if is_folder(config):  # without a manifest nobody is a query
        return []
    every = config.evaluate.every
    epochs = set(range(every, config.epochs + 1, every)) if every else set()
    names = [epoch_name(epoch) for epoch in sorted(epochs | {config.epochs})]
    return [files.evaluation(n) for n in [*config.evaluate.baselines, INITIAL, *names]]


def is_folder(config):
    """Tell whether the images are a plain folder of crops."""
    return (
        spelling_key(config.data.dataset) == "folder" and data_location(config).is_dir()
    )


def epoch_files(run, role):
    """A file of every epoch of a run, ascending: each is resolved before the next asks for it."""
    epochs = range(FIRST_EPOCH, RUNS[run].config.epochs + 1)
    return [getattr(layout(run).epoch(epoch), role) for epoch in epochs]


def final_outputs():
    outputs = []
    for run in RUNS:
        outputs += epoch_files(run, "model")
        outputs += [layout(run).table, layout(run).report, layout(run).final.table]
    if len(RUNS) > 1:
        outputs += [summary_table(RESULTS), comparison(RESULTS)]
    return outputs


def note_idle_settings():
    """Say which settings have no effect."""
    for sentence in idle_settings([run.config for run in RUNS.values()]):
        print(f"note: {sentence}")


def write_configs():
    """Leave every run its complete settings; the params of its rules tell Snakemake of changes."""
    for run in RUNS.values():
        with atomic(layout(run.name).config) as temporary:
            temporary.write_text(dump_yaml(run.config), encoding="utf-8")


def print_tables():
    paths = [layout(run).table for run in RUNS]
    if len(RUNS) > 1:
        paths.append(summary_table(RESULTS))
    for path in paths:
        if path.is_file():
            table = str(path)
            shell("mprd table -- {table:q}")
