# Figures, and what a user takes away. Evaluation goes first, so that figures appear during a run.


def evaluated_model(wildcards):
    if wildcards.epoch == "000":
        return path("init/model.safetensors")
    return path("epochs/{epoch}/model.safetensors")


rule evaluate:
    input:
        index=path("index.h5"),
        pixels=path("pixels.h5"),
        model=evaluated_model,
    output:
        figures=path("evaluation/{epoch}.json"),
        rankings=path("evaluation/{epoch}.rankings.h5"),
    log:
        path("logs/evaluation/{epoch}.log"),
    benchmark:
        path("benchmarks/evaluation/{epoch}.tsv")
    priority: 10
    threads: 16
    resources:
        gpu=1,
    params:
        version=version("evaluate"),
        config=path("config.yaml"),
    shell:
        "mprd evaluate --config {params.config} --index {input.index} --pixels {input.pixels}"
        " --model {input.model} --out {output.figures} --rankings {output.rankings}"
        " --threads {threads} 2> {log}"


rule baseline:
    input:
        index=path("index.h5"),
        pixels=path("pixels.h5"),
    output:
        figures=path("evaluation/{baseline}.json"),
        rankings=path("evaluation/{baseline}.rankings.h5"),
    log:
        path("logs/evaluation/{baseline}.log"),
    priority: 10
    threads: 16
    resources:
        gpu=1,
    params:
        version=version("evaluate"),
        config=path("config.yaml"),
    shell:
        "mprd evaluate --config {params.config} --index {input.index} --pixels {input.pixels}"
        " --baseline {wildcards.baseline} --out {output.figures} --rankings {output.rankings}"
        " --threads {threads} 2> {log}"


rule table:
    input:
        figures=lambda wildcards: evaluations(wildcards.run),
        metrics=lambda wildcards: epoch_files(wildcards.run, "metrics.json"),
        clusters=lambda wildcards: epoch_files(wildcards.run, "clusters.h5"),
    output:
        path("metrics.csv"),
    log:
        path("logs/table.log"),
    params:
        version=version("table"),
        folder=subpath(output[0], parent=True),
    shell:
        "mprd table {params.folder} --out {output} > {log} 2>&1"


rule summary:
    input:
        tables=[path("metrics.csv", run) for run in RUNS],
    output:
        f"{RESULTS}/summary.csv",
    params:
        tables=[
            f"{run.variant}={path('metrics.csv', run.name)}" for run in RUNS.values()
        ],
    shell:
        "mprd summary --out {output} {params.tables}"


rule export:
    input:
        index=path("index.h5"),
        pixels=path("pixels.h5"),
        model=lambda wildcards: epoch_files(wildcards.run, "model.safetensors")[-1],
    output:
        table=path("final/clusters.csv"),
        others=[
            path(f"final/{name}")
            for name in (
                "model.safetensors",
                "embeddings.h5",
                "features.h5",
                "graph.h5",
                "clusters.h5",
            )
        ],
    log:
        path("logs/export.log"),
    benchmark:
        path("benchmarks/export.tsv")
    threads: 16
    resources:
        gpu=1,
    params:
        version=version("export"),
        config=path("config.yaml"),
        folder=subpath(output.table, parent=True),
    shell:
        "mprd export --config {params.config} --index {input.index} --pixels {input.pixels}"
        " --model {input.model} --out {params.folder} --threads {threads} 2> {log}"
