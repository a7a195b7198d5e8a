# `epochs_per_job` above 1: a job does several epochs in one process, with the same artifacts.
# Their files have names without wildcards, so each job is a rule of its own. Features, graph and
# clusters of epoch 1 stay jobs of their own: the relation GCN is pre-trained on them.
LABELLING = ["features.h5", "graph.h5", "clusters.h5"]
TRAINED = ["model.safetensors", "state.pt", "metrics.json"]
JUDGED = ["gcn.safetensors", "relations.h5"]


def block_inputs(run, first):
    """Files that a job beginning with epoch `first` reads."""
    names = ["index.h5", "pixels.h5"]
    gcn = ["gcn/metadata.h5"] if RUNS[run].config.use_gcn else []
    if first == 1:
        names += ["init/model.safetensors"]
        names += [f"epochs/001/{name}" for name in LABELLING]
        gcn += ["gcn/pretrained.safetensors"] if gcn else []
    else:
        folder = f"epochs/{first - 1:03d}"
        names += [
            f"{folder}/{n}" for n in ("model.safetensors", "clusters.h5", "state.pt")
        ]
        gcn += [f"{folder}/gcn.safetensors"] if gcn else []
    return [path(name, run) for name in names + gcn]


def block_outputs(run, first, last):
    """Files that a job makes."""
    names = LABELLING + TRAINED + (JUDGED if RUNS[run].config.use_gcn else [])
    return [
        path(f"epochs/{epoch:03d}/{name}", run)
        for epoch in range(first, last + 1)
        for name in names
        if epoch > 1 or name not in LABELLING
    ]


BLOCKS = [
    (
        run,
        first,
        min(first + RUNS[run].config.epochs_per_job, RUNS[run].config.epochs + 1) - 1,
    )
    for run in RUNS
    if RUNS[run].config.epochs_per_job > 1
    for first in range(1, RUNS[run].config.epochs + 1, RUNS[run].config.epochs_per_job)
]

for number, (run, first, last) in enumerate(BLOCKS):

    rule:
        name:
            f"epochs_{number}"
        input:
            block_inputs(run, first),
        output:
            block_outputs(run, first, last),
        log:
            path(f"logs/epochs/{first:03d}-{last:03d}.log", run),
        benchmark:
            path(f"benchmarks/epochs/{first:03d}-{last:03d}.tsv", run)
        threads: 16
        resources:
            gpu=1,
            slurm_extra="'--gres=gpu:1'",
            runtime=60 * (last - first + 1),
        params:
            version=settings(run, "features", "graph", "cluster", "train"),
            code=code_digest("epochs"),
            config=path("config.yaml", run),
            folder=path("", run),
            first=first,
            last=last,
        shell:
            "mprd epochs --config {params.config} --run {params.folder} --first {params.first}"
            " --last {params.last} --threads {threads} 2> {log}"

    workflow.ruleorder(
        f"epochs_{number}", "features", "graph", "cluster", "train", "train_gcn"
    )
