# One epoch: features, graph, clusters, training.


def training_files(wildcards):
    """What an epoch trains from; see mprd.pipeline.layout."""
    config = RUNS[wildcards.run].config
    inputs = epoch_inputs(layout(wildcards.run), int(wildcards.epoch), config)
    return {role: str(path) for role, path in inputs.files().items()}


def cameras_of_graph(wildcards):
    """The index, where the graph takes from embeddings what their cameras add."""
    needed = RUNS[wildcards.run].config.graph.cameras != "none"
    return layout(wildcards.run).index if needed else []


def judging_files(wildcards):
    """What the relation GCN judges the graph of an epoch with."""
    run, epoch = wildcards.run, int(wildcards.epoch)
    inputs = judge_inputs(layout(run), epoch, RUNS[run].config)
    return {role: str(path) for role, path in inputs.files().items()}


def labels_before(wildcards):
    """The clusters of the epoch before, where those of an epoch go on from them."""
    run, epoch = wildcards.run, int(wildcards.epoch)
    return previous_labels(layout(run), epoch, RUNS[run].config) or []


rule features:
    input:
        model=lambda wildcards: training_files(wildcards)["model"],
        index=RUN.index,
        pixels=RUN.pixels,
    output:
        EPOCH.features,
    log:
        RUN.log("epochs", "{epoch}", "features"),
    benchmark:
        RUN.benchmark("epochs", "{epoch}", "features")
    threads: 16
    resources:
        **job("features", device=True),
    params:
        version=version_of("features"),
        config=str(RUN.config),
    shell:
        "mprd features --config {params.config:q} --index {input.index:q} --pixels {input.pixels:q}"
        " --model {input.model:q} --out {output:q} --threads {threads} 2> {log:q}"


rule graph:
    input:
        features=EPOCH.features,
        index=cameras_of_graph,
    output:
        EPOCH.graph,
    log:
        RUN.log("epochs", "{epoch}", "graph"),
    benchmark:
        RUN.benchmark("epochs", "{epoch}", "graph")
    threads: 16
    resources:
        **job("graph"),
    params:
        version=version_of("graph"),
        config=str(RUN.config),
        index=lambda wildcards, input: options(
            {"index": input.index} if input.index else {}
        ),
    shell:
        "mprd graph --config {params.config:q} --features {input.features:q} {params.index:q}"
        " --out {output:q} --threads {threads} 2> {log:q}"


rule cluster:
    input:
        index=RUN.index,
        graph=EPOCH.graph,
        previous=labels_before,
        own=own_files("cluster"),
    output:
        EPOCH.clusters,
    log:
        RUN.log("epochs", "{epoch}", "cluster"),
    benchmark:
        RUN.benchmark("epochs", "{epoch}", "cluster")
    wildcard_constraints:
        run=runs_where(lambda run: not RUNS[run].config.uses_judgements),
    resources:
        **job("cluster"),
    params:
        version=version_of("cluster"),
        config=str(RUN.config),
        previous=lambda wildcards, input: options(
            {"previous": input.previous} if input.previous else {}
        ),
    shell:
        "mprd cluster --config {params.config:q} --index {input.index:q} --graph {input.graph:q}"
        " {params.previous:q} --out {output:q} 2> {log:q}"


# `cluster.relation: judged`: clusters by distance are provisional, the GCN judges, then clusters follow.
use rule cluster as draft with:
    output:
        EPOCH.provisional_clusters,
    log:
        RUN.log("epochs", "{epoch}", "draft"),
    benchmark:
        RUN.benchmark("epochs", "{epoch}", "draft")
    wildcard_constraints:
        run=runs_where(lambda run: RUNS[run].config.uses_judgements),


rule ranks:
    input:
        index=RUN.index,
        features=EPOCH.features,
    output:
        EPOCH.ranks,
    log:
        RUN.log("epochs", "{epoch}", "ranks"),
    benchmark:
        RUN.benchmark("epochs", "{epoch}", "ranks")
    wildcard_constraints:
        run=runs_where(lambda run: RUNS[run].config.uses_ranks),
    threads: 16
    resources:
        **job("ranks", device=True),
    params:
        version=version_of("ranks"),
        config=str(RUN.config),
    shell:
        "mprd ranks --config {params.config:q} --index {input.index:q}"
        " --features {input.features:q} --out {output:q} --threads {threads} 2> {log:q}"


rule judge:
    input:
        unpack(judging_files),
    output:
        EPOCH.judgements,
    log:
        RUN.log("epochs", "{epoch}", "judge"),
    benchmark:
        RUN.benchmark("epochs", "{epoch}", "judge")
    wildcard_constraints:
        run=runs_where(lambda run: RUNS[run].config.uses_judgements),
    threads: 16
    resources:
        **job("judge", device=True),
    params:
        version=version_of("judge"),
        config=str(RUN.config),
        files=lambda wildcards: options(judging_files(wildcards)),
    shell:
        "mprd judge --config {params.config:q} {params.files:q} --out {output:q}"
        " --threads {threads} 2> {log:q}"


rule cluster_judged:
    input:
        index=RUN.index,
        graph=EPOCH.graph,
        judgements=EPOCH.judgements,
        own=own_files("cluster"),
    output:
        EPOCH.clusters,
    log:
        RUN.log("epochs", "{epoch}", "cluster"),
    benchmark:
        RUN.benchmark("epochs", "{epoch}", "cluster")
    wildcard_constraints:
        run=runs_where(lambda run: RUNS[run].config.uses_judgements),
    resources:
        **job("cluster"),
    params:
        version=version_of("cluster"),
        config=str(RUN.config),
    shell:
        "mprd cluster --config {params.config:q} --index {input.index:q} --graph {input.graph:q}"
        " --judgements {input.judgements:q} --out {output:q} 2> {log:q}"


rule train:
    input:
        unpack(training_files),
    output:
        **EPOCH.trained(use_gcn=False),
    log:
        RUN.log("epochs", "{epoch}", "train"),
    benchmark:
        RUN.benchmark("epochs", "{epoch}", "train")
    wildcard_constraints:
        run=runs_where(lambda run: not RUNS[run].config.use_gcn),
    threads: 16
    resources:
        **job("train", device=True),
    params:
        version=version_of("train"),
        config=str(RUN.config),
        number=lambda wildcards: int(wildcards.epoch),
        folder=str(EPOCH.folder),
        files=lambda wildcards: options(training_files(wildcards)),
    shell:
        "mprd train --config {params.config:q} {params.files:q} --epoch {params.number}"
        " --out {params.folder:q} --threads {threads} 2> {log:q}"


# With `use_gcn` an epoch also leaves the GCN for the next one, and its judgements.
use rule train as train_gcn with:
    output:
        **EPOCH.trained(use_gcn=True),
    wildcard_constraints:
        run=runs_where(lambda run: RUNS[run].config.use_gcn),
