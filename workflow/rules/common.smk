# Configuration, paths, and the inputs of an epoch. Every run has a folder below `results`.
import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from mprd.artifacts.files import atomic
from mprd.config import dump_yaml, expand_runs
from mprd.errors import UserError
from mprd.provenance import code_digest, stage_settings, synthetic_folder

# An epoch asks for the one before, so the DAG is as deep as there are epochs.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))

try:
    RUNS = {
        run.name: run
        for run in expand_runs(
            dict(config),
            ", ".join(map(str, workflow.overwrite_configfiles)) or "config/config.yaml",
        )
    }
except UserError as error:
    raise WorkflowError(str(error)) from None

RESULTS = str(next(iter(RUNS.values())).config.results)

# The stages run in the environment that runs Snakemake, activated or not.
shell.prefix(
    f'set -euo pipefail; export PATH="{os.path.dirname(sys.executable)}:$PATH"; '
)


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)),
    epoch="[0-9]{3}",
    baseline="random|histogram",


def settings(run, *stages):
    """All that decides the result of some stages beside their input files."""
    return json.dumps(
        {
            stage: [stage_settings(RUNS[run].config, stage), code_digest(stage)]
            for stage in stages
        },
        sort_keys=True,
    )


def version(stage):
    """Params of a rule: a change of these settings or of the stage's code runs it again."""
    return lambda wildcards: settings(wildcards.run, stage)


def owner(run, *stages):
    """The first run that computes the same: equal settings share index, pixels and start."""
    wanted = data_source(run), settings(run, *stages)
    return next(r for r in RUNS if (data_source(r), settings(r, *stages)) == wanted)


def data_source(run):
    """The folder of synthetic images, or None for a data set that is already there."""
    if RUNS[run].config.data.dataset == "synthetic":
        return str(synthetic_folder(RUNS[run].config))
    return None


def owners(*stages):
    """Wildcard pattern of the runs that compute these stages themselves."""
    return "|".join(re.escape(run) for run in RUNS if owner(run, *stages) == run)


def sharers(*stages):
    """Wildcard pattern of the others; matches nothing if there are none."""
    return (
        "|".join(re.escape(run) for run in RUNS if owner(run, *stages) != run) or "(?!)"
    )


def link_target(wildcards, input, output):
    """The shared file as seen from the link, so that a results folder can be moved."""
    return os.path.relpath(input[0], os.path.dirname(output[0]))


def path(name, run="{run}"):
    return f"{RESULTS}/{run}/{name}"


def before(wildcards):
    """Files of the epoch before: none in epoch 1."""
    epoch = int(wildcards.epoch) - 1
    if epoch == 0:
        return {"model": path("init/model.safetensors")}
    folder = path(f"epochs/{epoch:03d}")
    return {
        "model": f"{folder}/model.safetensors",
        "previous_clusters": f"{folder}/clusters.h5",
        "state": f"{folder}/state.pt",
    }


def gcn_before(wildcards):
    """The relation GCN that an epoch starts with."""
    epoch = int(wildcards.epoch) - 1
    name = f"epochs/{epoch:03d}/gcn" if epoch else "gcn/pretrained"
    return {"gcn": path(f"{name}.safetensors")}


def cameras_of_graph(wildcards):
    """The index, where the graph compares around camera means."""
    centred = RUNS[wildcards.run].config.graph.center_cameras
    return path("index.h5") if centred else []


def runs_with_gcn(wanted):
    """Wildcard pattern of the runs with or without `use_gcn`; matches nothing if none."""
    names = [re.escape(r) for r in RUNS if RUNS[r].config.use_gcn == wanted]
    return "|".join(names) or "(?!)"


def evaluated_epochs(config):
    """Epochs after which a run is evaluated; 0 is the initial model."""
    every = config.evaluate.every
    chosen = set(range(every, config.epochs + 1, every)) if every else set()
    return sorted(chosen | {0, config.epochs})


def evaluations(run):
    config = RUNS[run].config
    names = [f"{epoch:03d}" for epoch in evaluated_epochs(config)]
    return [
        path(f"evaluation/{n}.json", run) for n in [*config.evaluate.baselines, *names]
    ]


def epoch_files(run, name):
    # Ascending: each epoch is resolved before the next asks for it.
    epochs = range(1, RUNS[run].config.epochs + 1)
    return [path(f"epochs/{epoch:03d}/{name}", run) for epoch in epochs]


def final_outputs():
    outputs = []
    for run in RUNS:
        outputs += epoch_files(run, "model.safetensors")
        outputs += [path("metrics.csv", run), path("final/clusters.csv", run)]
    if len(RUNS) > 1:
        outputs.append(f"{RESULTS}/summary.csv")
    return outputs


def write_configs():
    """Leave every run its complete settings; the params of its rules tell Snakemake of changes."""
    for run in RUNS.values():
        with atomic(Path(path("config.yaml", run.name))) as temporary:
            temporary.write_text(dump_yaml(run.config), encoding="utf-8")


def print_tables():
    for run in RUNS:
        if os.path.exists(path("metrics.csv", run)):
            shell(f"mprd table {path('metrics.csv', run)}")
    if len(RUNS) > 1 and os.path.exists(f"{RESULTS}/summary.csv"):
        shell(f"mprd table {RESULTS}/summary.csv")
