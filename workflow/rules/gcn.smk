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
        gpu=1,
    params:
        version=version_of("metadata"),
        config=str(RUN.config),
        files=options(INITIAL_FILES),
    shell:
        "mprd metadata --config {params.config} {params.files} --out {output}"
        " --threads {threads} 2> {log}"


rule pretrain:
    input:
        **INITIAL_FILES,
        clusters=lambda wildcards: layout(wildcards.run)
        .epoch(FIRST_EPOCH)
        .doubtful(RUNS[wildcards.run].config.judged),
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
        gpu=1,
    params:
        version=version_of("pretrain"),
        config=str(RUN.config),
        files=options(INITIAL_FILES),
    shell:
        "mprd pretrain --config {params.config} {params.files} --clusters {input.clusters}"
        " --metadata {input.metadata} --out {output.gcn} --metrics {output.metrics}"
        " --threads {threads} 2> {log}"
