# What a job takes: of the device here, and as a batch system is told.
import errno
import json
import math
import subprocess
import tempfile

from mprd.pipeline.stages import EPOCH_STAGES, STAGES

SMALL_JOB = {"memory": 2**30, "seconds": 1800, "gpu_seconds": 1800}
OWN_MEMORY = 512  # MiB of a batch job for the Snakemake that runs in it
BY_RULE = {one.name: one for one in STAGES}


def stage_of(rulename):
    """The stage of a rule; None for a job of several epochs. A workflow may import us renamed."""
    names = ("train_gcn", "export_given", *sorted(BY_RULE, key=len, reverse=True))
    name = next((name for name in names if rulename.endswith(name)), "")
    return BY_RULE.get(name.removesuffix("_gcn").removesuffix("_given"))


def threads_of(wildcards, rulename):
    """The most threads that a job can use."""
    one = stage_of(rulename)
    return 16 if one is None or one.device or one.workers else 1


def told(resource):
    """Whether anybody asks for a resource: a batch system, or a limit by --resources."""
    asked = workflow.non_local_exec or resource in workflow.global_resources
    return workflow.is_main_process and asked


@functools.cache
def stage_needs(plan):
    """What all stages will take; found by a process of its own, since it needs the network."""
    command = [sys.executable, "-m", "mprd.cli", "needs", "--json"]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(plan.config_text)  # that of the run may not be written yet
        config.flush()
        command += ["--config", config.name, "--index", str(plan.index)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WorkflowError(done.stderr.strip())
    return json.loads(done.stdout)


def need(wildcards, rulename, input):
    """What a job will take, by the index of the run; a stage before the index: little."""
    one = stage_of(rulename)
    plan, times = job_plan(wildcards, rulename)
    if one is not None and not one.memory:
        return SMALL_JOB
    if not plan.index.exists():  # Snakemake asks again before it submits the job
        raise FileNotFoundError(errno.ENOENT, "no index yet", str(input[0]))
    found = stage_needs(plan)["epoch" if one is None else one.name]
    return found | {key: times * found[key] for key in ("seconds", "gpu_seconds")}


def job_plan(wildcards, rulename):
    """The plan of a job's run, and how many epochs it does."""
    if stage_of(rulename) is None:
        plan, first, last = BLOCKS[int(rulename.rpartition("_")[2])]
        return plan, last - first + 1
    return job_of(wildcards)[0], 1


def mem_mb(wildcards, input, attempt, rulename):
    if not told("mem_mb"):
        return 0
    memory = need(wildcards, rulename, input)["memory"]
    return attempt * (math.ceil(memory / 2**20) + OWN_MEMORY)


def runtime(wildcards, input, attempt, rulename):
    if not told("runtime"):
        return 0
    cpu = job_plan(wildcards, rulename)[0].config.device == "cpu"
    seconds = need(wildcards, rulename, input)["seconds" if cpu else "gpu_seconds"]
    return attempt * math.ceil(seconds / 60)


def gpu(wildcards, rulename):
    one, plan = stage_of(rulename), job_plan(wildcards, rulename)[0]
    if not workflow.non_local_exec or plan.config.device == "cpu":
        return 0
    if one is None or one.shared:
        return plan.config.processes
    return int(one.device)


def device(wildcards, rulename):
    """One such job at a time fills the GPU here, or without one the cores."""
    one = stage_of(rulename)
    return int(workflow.local_exec and (one is None or one.device))


# A batch system, or a limit by --resources, asks for all of these; nobody else for more than the
# last, and functions cost time for each job. After a failure a batch system is asked for more.
job_resources = {"mem_mb": 0, "runtime": 0, "gpu": 0, "device": device}
if workflow.non_local_exec or {"mem_mb", "runtime"} & set(workflow.global_resources):
    job_resources |= {"mem_mb": mem_mb, "runtime": runtime, "gpu": gpu}
