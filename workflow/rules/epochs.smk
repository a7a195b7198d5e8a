# `epochs_per_job` above 1: a job does several epochs in one process, with the same artifacts.
# Their files have names without wildcards, so each job is a rule of its own. Features, graph and
# clusters of epoch 1 stay jobs of their own: the relation GCN is pre-trained on them.


def block_inputs(run, first):
    """Files that a job beginning with epoch `first` reads and does not make itself."""
    inputs = epoch_inputs(layout(run), first, RUNS[run].config).files()
    if first > FIRST_EPOCH:
        for role in ("features", "graph", "ranks", "clusters", "provisional_clusters"):
            inputs.pop(role, None)
    return [*inputs.values(), *user_files(RUNS[run].config, "cluster")]


def block_outputs(run, first, last):
    """Files that a job makes."""
    outputs, config = [], RUNS[run].config
    for epoch in range(first, last + 1):
        files = layout(run).epoch(epoch)
        made = (
            files.labelling(config.uses_judgements, config.uses_ranks) if epoch > FIRST_EPOCH else {}
        )
        made |= files.trained(config.use_gcn)
        outputs += made.values()
    return outputs


def epoch_stages(run):
    """The stages that a job of several epochs does."""
    config = RUNS[run].config
    ranks = ("ranks",) if config.uses_ranks else ()
    judge = ("judge",) if config.uses_judgements else ()
    return ("features", "graph", *ranks, *judge, "cluster", "train")


BLOCKS = [
    (
        run,
        first,
        min(first + RUNS[run].config.epochs_per_job, RUNS[run].config.epochs + 1) - 1,
    )
    for run in RUNS
    if RUNS[run].config.epochs_per_job > 1
    for first in range(
        FIRST_EPOCH, RUNS[run].config.epochs + 1, RUNS[run].config.epochs_per_job
    )
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
            layout(run).log("epochs", f"{epoch_name(first)}-{epoch_name(last)}"),
        benchmark:
            layout(run).benchmark("epochs", f"{epoch_name(first)}-{epoch_name(last)}")
        threads: 16
        resources:
            **job("epoch", run, last - first + 1, device=True),
        params:
            version=version(run, *epoch_stages(run)),
            code=code_digest("epochs", RUNS[run].config),
            config=str(layout(run).config),
            folder=str(layout(run).folder),
            first=first,
            last=last,
        shell:
            "mprd epochs --config {params.config:q} --run {params.folder:q} --first {params.first}"
            " --last {params.last} --threads {threads} 2> {log:q}"

    workflow.ruleorder(
        f"epochs_{number}",
        "features",
        "graph",
        "ranks",
        "draft",
        "judge",
        "cluster",
        "cluster_judged",
        "train",
        "train_gcn",
    )
