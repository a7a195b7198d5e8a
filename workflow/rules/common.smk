# Runs and their plans. What a stage reads, writes and depends on: mprd/pipeline/stages.py.
import functools
import os
import shlex
import sys
import tempfile

from snakemake.exceptions import WorkflowError

from mprd.artifacts.files import file_digest
from mprd.config import expand_runs
from mprd.data.datasets.fingerprint import fingerprint
from mprd.errors import EPOCHS, FINAL, UserError
from mprd.pipeline.conditions import USES_GCN
from mprd.pipeline.freshness import Freshness, JobFiles
from mprd.pipeline.idle import idle_settings
from mprd.pipeline.layout import EVALUATIONS, RunLayout, comparison, summary_table
from mprd.pipeline.location import require_other
from mprd.pipeline.plan import RunPlan
from mprd.pipeline.registry import check_names
from mprd.pipeline.rule_paths import patterns, stage_making, step_of
from mprd.pipeline.run_lock import hold_runs, release_runs
from mprd.pipeline.shared import SHARED_ROLES, prune_shared, shared_folder

# An epoch asks for the one before, so the DAG is as deep as there are epochs.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))

SOURCE = ", ".join(map(str, workflow.overwrite_configfiles)) or "config/config.yaml"
list_images = functools.cache(fingerprint)


def listing(config):
    """What lies in the folder of a data set; runs of one data set look once."""
    data = config.data
    return list_images(data.dataset, data.root, data.reader)


def plan_of(run):
    """The plan of a run, checked as far as it can be before anything runs."""
    check_names(run.config)
    plan = RunPlan(run, listing, file_digest)
    require_other(run.config, plan.layout.final)
    return plan


try:
    RUNS = expand_runs(dict(config), SOURCE)
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


def job_of(wildcards):
    """The plan of a job's run, and its step."""
    values = dict(wildcards.items())
    plan = OWNERS[values["key"]] if "key" in values else PLANS[values["run"]]
    if "epoch" in values:
        return plan, int(values["epoch"])
    if "step" in values:
        return plan, step_of(values["step"])
    return plan, values.get("evaluation")


@functools.cache
def written_records(plan):
    """Write what is new in the provenance of a run, newer than its results; name -> path.

    That happens when jobs are found and will run. A dry run writes nothing in the results: there
    files elsewhere stand for it, whose names are the reasons. All of a run are written before the
    first is looked at: Snakemake lists a folder once, and a job whose input came later is dropped.
    """
    new = [path for path in plan.records() if not path.exists()]
    if workflow.executor_plugin is not None and not workflow.dryrun:
        if new:
            hold([plan])
        for path in new:
            plan.provenance.write(path)
        return {path: str(path) for path in new}
    folder = tempfile.mkdtemp(dir=REASONS.name)
    reasons = {}
    for path in new:
        reason = f"{path.name.rpartition('-')[0]} {plan.provenance.difference(path)}"
        reasons[path] = os.path.join(folder, reason.replace("/", " ")[:200])
        with open(reasons[path], "w"):
            pass
    return reasons


def recorded(plan, provenance):
    """The provenance of a stage as an input: newer than the results after a change."""
    if not workflow.is_main_process:
        return str(provenance)
    return written_records(plan).get(provenance, str(provenance))


def with_settings(home, files, done):
    """Input of a job: its files and the settings of its run, flagged by whether it is done."""
    settings = str(home.config)
    if not done:
        return files | {"settings": settings}
    # Files that were touched or copied are newer but hold the same. The settings of a run change
    # more often than its stages run, and no job may wait for them without need: Snakemake passes
    # over all that follows from an ancient file in the making.
    old = {"settings": ancient(before_update(settings))}
    return ancient_files(files) | (old if os.path.exists(settings) else {})


def ancient_files(files):
    """Files by name, or lists of them, that run no job by their times."""
    return {
        key: (
            [ancient(path) for path in value]
            if isinstance(value, list)
            else ancient(value)
        )
        for key, value in files.items()
    }


def reads(name):
    """Input of a rule: what the stage table says, and the provenance of the stage."""

    def files(wildcards):
        plan, step = job_of(wildcards)
        step = FINAL if name == "export" else step
        found = {key: str(path) for key, path in plan.reads(name, step).items()}
        found["more"] = [str(path) for path in plan.reads_also(name)]
        if provenance := plan.provenance_file(name, step):
            found["provenance"] = recorded(plan, provenance)
        return with_settings(plan.home(name), found, plan.done(name, step))

    return files


def writes(name, conditional=False):
    """Output of a rule: what the stage table says."""
    found = patterns(name, RESULTS, conditional=conditional)
    return {role: str(path) for role, path in found.items()}


def command(wildcards, output, threads):
    """The shell command of a stage."""
    plan, step = job_of(wildcards)
    name = stage_making(Path(output[0]))
    step = FINAL if name == "export" else step
    return shlex.join(plan.command(name, step, threads))


def runs_where(condition):
    """Wildcard pattern of the runs for which a condition holds; matches nothing if none."""
    names = [name for name, plan in PLANS.items() if condition.holds(plan.config)]
    return "|".join(map(re.escape, names)) or "(?!)"


def block_command(plan, first, last, wildcards, threads):
    """The shell command of a job of several epochs."""
    words = [
        "mprd",
        "epochs",
        "--config",
        plan.layout.config,
        "--run",
        plan.layout.folder,
    ]
    words += ["--first", first, "--last", last, "--threads", threads]
    return shlex.join(map(str, words))


def block_reads(plan, first, last):
    """Input of a job of several epochs."""
    files = {"files": [str(path) for path in plan.block_inputs(first, last)]}
    provenance = plan.block_provenance(first, last)
    files["provenance"] = [recorded(plan, path) for path in provenance]
    return with_settings(plan.layout, files, plan.block_done(first, last))


def hold(plans):
    """Take runs for this workflow."""
    try:
        hold_runs(plan.layout for plan in plans)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def begin():
    """Take all runs for this workflow, and say which settings have no effect."""
    hold(PLANS.values())
    for sentence in idle_settings([run.config for run in RUNS]):
        print(f"note: {sentence}")


def end(prune=False):
    """Note what the files hold, so that touching them runs nothing, and give the runs back."""
    for plan in PLANS.values():
        plan.freshness.note()
    TOGETHER.note()
    if prune:
        prune_shared(RESULTS, OWNERS)
    release_runs()


def print_tables():
    tables = [plan.layout.table for plan in PLANS.values()]
    for path in [*tables, *([summary_table(RESULTS)] if len(tables) > 1 else [])]:
        if path.is_file():
            table = str(path)
            shell("mprd table -- {table:q}")
