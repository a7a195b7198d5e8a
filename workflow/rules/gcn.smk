# The relation GCN before the first epoch (`use_gcn`).
FIRST = "epochs/001"


rule metadata:
    input:
        index=path("index.h5"),
        pixels=path("pixels.h5"),
        model=path("init/model.safetensors"),
        features=path(f"{FIRST}/features.h5"),
        graph=path(f"{FIRST}/graph.h5"),
        answers=lambda wildcards: RUNS[wildcards.run].config.gcn.metadata.file or [],
    output:
        path("gcn/metadata.h5"),
    log:
        path("logs/gcn/metadata.log"),
    benchmark:
        path("benchmarks/gcn/metadata.tsv")
    threads: 16
    resources:
        gpu=1,
    params:
        version=version("metadata"),
        config=path("config.yaml"),
    shell:
        "mprd metadata --config {params.config} --index {input.index} --pixels {input.pixels}"
        " --model {input.model} --features {input.features} --graph {input.graph}"
        " --out {output} --threads {threads} 2> {log}"


rule pretrain:
    input:
        index=path("index.h5"),
        pixels=path("pixels.h5"),
        model=path("init/model.safetensors"),
        features=path(f"{FIRST}/features.h5"),
        graph=path(f"{FIRST}/graph.h5"),
        clusters=path(f"{FIRST}/clusters.h5"),
        metadata=path("gcn/metadata.h5"),
    output:
        gcn=path("gcn/pretrained.safetensors"),
        metrics=path("gcn/metrics.json"),
    log:
        path("logs/gcn/pretrain.log"),
    benchmark:
        path("benchmarks/gcn/pretrain.tsv")
    threads: 16
    resources:
        gpu=1,
    params:
        version=version("pretrain"),
        config=path("config.yaml"),
    shell:
        "mprd pretrain --config {params.config} --index {input.index} --pixels {input.pixels}"
        " --model {input.model} --features {input.features} --graph {input.graph}"
        " --clusters {input.clusters} --metadata {input.metadata} --out {output.gcn}"
        " --metrics {output.metrics} --threads {threads} 2> {log}"
