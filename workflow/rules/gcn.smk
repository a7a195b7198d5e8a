# The relation GCN before the first epoch (`use_gcn`).
INITIAL_FILES = vars(initial_files(RUN))


rule metadata:
    input:
        **INITIAL_FILES,
        own=own_files("metadata"),
    output:
        RUN.metadata,
    log:
        RUN.log("gcn", "metadata"),
    benchmark:
        RUN.benchmark("gcn", "metadata")
    threads: 16
    resources:
        **job("metadata", device=True),
    params:
        version=version_of("metadata"),
        config=str(RUN.config),
        files=lambda wildcards: options(vars(initial_files(layout(wildcards.run)))),
    shell:
        "mprd metadata --config {params.config:q} {params.files:q} --out {output:q}"
        " --threads {threads} 2> {log:q}"


def first_ranks(wildcards):
    """The ranks of epoch 1, where the stages do not compare all images themselves."""
    ranked = RUNS[wildcards.run].config.uses_ranks
    return layout(wildcards.run).epoch(FIRST_EPOCH).ranks if ranked else []


rule pretrain:
    input:
        **INITIAL_FILES,
        ranks=first_ranks,
        clusters=lambda wildcards: layout(wildcards.run)
        .epoch(FIRST_EPOCH)
        .doubtful(RUNS[wildcards.run].config.uses_judgements),
        metadata=RUN.metadata,
    output:
        gcn=RUN.initial_gcn,
        metrics=RUN.initial_gcn_metrics,
    log:
        RUN.log("gcn", "pretrain"),
    benchmark:
        RUN.benchmark("gcn", "pretrain")
    threads: 16
    resources:
        **job("pretrain", device=True),
    params:
        version=version_of("pretrain"),
        config=str(RUN.config),
        files=lambda wildcards: options(vars(initial_files(layout(wildcards.run)))),
        ranks=lambda wildcards, input: options(
            {"ranks": input.ranks} if input.ranks else {}
        ),
    shell:
        "mprd pretrain --config {params.config:q} {params.files:q} --clusters {input.clusters:q}"
        " --metadata {input.metadata:q} {params.ranks:q} --out {output.gcn:q} --metrics {output.metrics:q}"
        " --threads {threads} 2> {log:q}"
