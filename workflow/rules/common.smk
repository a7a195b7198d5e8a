# Runs and their plans. What a stage reads, writes and depends on: mprd/pipeline/stages.py.
import atexit
import functools
import gc
import glob
import os
import shlex
import sys
import tempfile

from snakemake.exceptions import WorkflowError

from mprd.artifacts.files import atomic, file_digest
from mprd.artifacts.partials import remove_partials
from mprd.config import expand_runs, merge, read_yaml
from mprd.data.datasets.fingerprint import fingerprint
from mprd.errors import EPOCHS, FINAL, UserError
from mprd.pipeline.conditions import GIVEN, USES_GCN
from mprd.pipeline.freshness import Freshness, JobFiles
from mprd.pipeline.idle import idle_settings
from mprd.pipeline.keep import let_go
from mprd.pipeline.layout import EVALUATIONS, RunLayout, comparison, summary_table
from mprd.pipeline.location import require_other, require_plain
from mprd.pipeline.plan import RunPlan
from mprd.pipeline.registry import check_names
from mprd.pipeline.rule_paths import looking_back, patterns, stage_making, step_of
from mprd.pipeline.run_lock import hold_runs, release_runs, remove_idle_locks
from mprd.pipeline.shared import SHARED_ROLES, prune_shared, shared_folder

# Modules, syntax trees and jobs are many objects and no garbage: Snakemake starts and ends a fifth
# faster if the collector looks at them seldom, and not again at the end.
gc.set_threshold(50_000)
atexit.register(gc.freeze)

# An epoch asks for the one before, so the DAG is as deep as there are epochs.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))

SOURCE = ", ".join(map(str, workflow.overwrite_configfiles)) or "config/config.yaml"
list_images = functools.cache(fingerprint)


def listing(config):
    """What lies in the folder of a data set; runs of one data set look once."""
    data = config.data
    return list_images(data.dataset, data.root, data.reader)


def given_values():
    """The values of all configs. Snakemake reads 010 as 8, and 2026-03-14 as no text."""
    files = workflow.overwrite_configfiles
    if not files:
        return dict(config)
    values = functools.reduce(merge, map(read_yaml, files), {})
    return merge(values, dict(workflow.config_settings.config))


def plan_of(run):
    """The plan of a run, checked as far as it can be before anything runs."""
    check_names(run.config)
    plan = RunPlan(run, listing, file_digest)
    require_other(run.config, plan.layout.final)
    require_plain(run.config)
    return plan


try:
    RUNS = expand_runs(given_values(), SOURCE)
    PLANS = {run.name: plan_of(run) for run in RUNS}
except UserError as error:
    raise WorkflowError(str(error)) from None

RESULTS = RUNS[0].config.results
RUN = RunLayout(RESULTS / "{run}")  # with wildcards, as rules write it
COMMON = RunLayout(shared_folder(RESULTS) / "{key}")
# Folder of a shared stage -> a run that has it.
OWNERS = {
    plan.home(name).folder.name: plan
    for plan in reversed(PLANS.values())
    for name in dict.fromkeys(SHARED_ROLES.values())
}

REASONS = tempfile.TemporaryDirectory(prefix="mprd-")

# The stages run in the environment that runs Snakemake, activated or not.
shell.prefix(
    f"set -euo pipefail; export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; "
)


wildcard_constraints:
    run="|".join(map(re.escape, PLANS)),
    step=f"{EPOCHS}/[0-9]{{3}}|{FINAL}",
    epoch="[0-9]{3}",
    evaluation="[^/.]+",
    key="|".join(map(re.escape, OWNERS)),
    digest="[0-9a-f]{12}",


def hold(plans):
    """Take runs for this workflow."""
    try:
        hold_runs(plan.layout for plan in plans)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def begin():
    """Take all runs for this workflow, and say which settings have no effect.

    What killed writers have left half-written goes.
    """
    hold(PLANS.values())
    for folder in [
        shared_folder(RESULTS),
        *(plan.layout.folder for plan in PLANS.values()),
    ]:
        remove_partials(folder)
    for path in (comparison(RESULTS), summary_table(RESULTS), *map(Path, SYNTHETIC)):
        remove_partials(path.parent, f".{glob.escape(path.name)}.*.partial")
    for sentence in idle_settings([run.config for run in RUNS]):
        print(f"note: {sentence}")


def end():
    """Note what the files hold, so that touching them runs nothing, and give the runs back.

    Files of epochs that the run does not keep go. What no run shares any more goes, such as the folders of tries that failed, and so do the lock
    files of results.
    """
    for plan in PLANS.values():
        plan.freshness.note()
        if not some_are_asked_for():
            let_go(plan)
    TOGETHER.note()
    prune_shared(RESULTS, OWNERS)
    for folder in [
        shared_folder(RESULTS),
        *(plan.layout.folder for plan in PLANS.values()),
    ]:
        remove_idle_locks(folder)
    for path in (comparison(RESULTS), summary_table(RESULTS)):
        remove_idle_locks(RESULTS, f".{path.name}.lock")
    release_runs()


@atexit.register
def leave():
    """A workflow that had nothing to do leaves no trace: Snakemake calls none of its hooks."""
    if not workflow.dag:
        for plan in PLANS.values():
            plan.provenance.restore()
    release_runs()


def some_are_asked_for():
    """Whether the user names files or rules, and does not want all results."""
    return bool(workflow.dag_settings.targets or workflow.dag_settings.until)


def print_tables():
    """Show the metrics of all runs; a user who asks for some files gets these."""
    if some_are_asked_for():
        return
    tables = [plan.layout.table for plan in PLANS.values()]
    for path in [*tables, *([summary_table(RESULTS)] if len(tables) > 1 else [])]:
        if path.is_file():
            table = str(path)
            shell("mprd table -- {table:q}")
