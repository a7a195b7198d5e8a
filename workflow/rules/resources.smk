# What a job takes: of the device here, and as a batch system is told.
import errno
import functools
import math
import subprocess
import tempfile

SMALL_JOB = {"memory": 2**30, "seconds": 1800, "gpu_seconds": 1800}
OWN_MEMORY = 512  # MiB of a batch job for the Snakemake that runs in it


def tells(resource):
    """Whether anybody asks for a resource: a batch system, or a limit by --resources."""
    asked = workflow.non_local_exec or resource in workflow.global_resources
    return workflow.is_main_process and asked


@functools.cache
def stage_needs(run):
    """What all stages will take; found by a process of its own, since it needs the network."""
    command = [sys.executable, "-m", "mprd.cli", "needs", "--json"]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(
            dump_yaml(RUNS[run].config)
        )  # that of the run is written when it begins
        config.flush()
        command += ["--config", config.name, "--index", str(layout(run).index)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WorkflowError(done.stderr.strip())
    return json.loads(done.stdout)


def need(stage, run, input):
    """What a stage will take, by the index of the run; a stage before the index: little."""
    if stage is None:
        return SMALL_JOB
    if not layout(run).index.exists():  # Snakemake asks again before it submits the job
        raise FileNotFoundError(errno.ENOENT, "no index yet", str(input[0]))
    return stage_needs(run)[stage]


def job(stage=None, run=None, times=1, device=False):
    """Resources of a rule: a batch system is told memory, minutes and whether a GPU is wanted.

    `device`: here one such job at a time fills the GPU, or without one the cores. `run`: of a rule
    without that wildcard. After a failure a batch system is asked for more.
    """

    def mem_mb(wildcards, input, attempt):
        if not tells("mem_mb"):
            return 0
        memory = need(stage, run or wildcards.run, input)["memory"]
        return attempt * (math.ceil(memory / 2**20) + OWN_MEMORY)

    def runtime(wildcards, input, attempt):
        if not tells("runtime"):
            return 0
        name = run or wildcards.run
        key = "seconds" if RUNS[name].config.device == "cpu" else "gpu_seconds"
        return attempt * math.ceil(times * need(stage, name, input)[key] / 60)

    def gpu(wildcards):
        config = RUNS[run or wildcards.run].config
        wanted = workflow.non_local_exec and config.device != "cpu"
        return (config.processes if stage in SHARED | {"epoch"} else 1) if wanted else 0

    def device_here(wildcards):
        return int(workflow.local_exec)

    limits = {"mem_mb": mem_mb, "runtime": runtime}
    return limits | {"device": device_here, "gpu": gpu} if device else limits
