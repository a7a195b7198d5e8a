# One epoch: features, graph, clusters, training.
EPOCH = "epochs/{epoch}"


rule features:
    input:
        unpack(lambda wildcards: {"model": before(wildcards)["model"]}),
        index=path("index.h5"),
        pixels=path("pixels.h5"),
    output:
        path(f"{EPOCH}/features.h5"),
    log:
        path(f"logs/{EPOCH}/features.log"),
    benchmark:
        path(f"benchmarks/{EPOCH}/features.tsv")
    threads: 16
    resources:
        gpu=1,
    params:
        version=version("features"),
        config=path("config.yaml"),
    shell:
        "mprd features --config {params.config} --index {input.index} --pixels {input.pixels}"
        " --model {input.model} --out {output} --threads {threads} 2> {log}"


rule graph:
    input:
        features=path(f"{EPOCH}/features.h5"),
        index=cameras_of_graph,
    output:
        path(f"{EPOCH}/graph.h5"),
    log:
        path(f"logs/{EPOCH}/graph.log"),
    benchmark:
        path(f"benchmarks/{EPOCH}/graph.tsv")
    threads: 16
    params:
        version=version("graph"),
        config=path("config.yaml"),
        index=lambda wildcards, input: f"--index {input.index}" if input.index else "",
    shell:
        "mprd graph --config {params.config} --features {input.features} {params.index}"
        " --out {output} --threads {threads} 2> {log}"


rule cluster:
    input:
        index=path("index.h5"),
        graph=path(f"{EPOCH}/graph.h5"),
    output:
        path(f"{EPOCH}/clusters.h5"),
    log:
        path(f"logs/{EPOCH}/cluster.log"),
    benchmark:
        path(f"benchmarks/{EPOCH}/cluster.tsv")
    params:
        version=version("cluster"),
        config=path("config.yaml"),
    shell:
        "mprd cluster --config {params.config} --index {input.index} --graph {input.graph}"
        " --out {output} 2> {log}"


rule train:
    input:
        unpack(before),
        index=path("index.h5"),
        pixels=path("pixels.h5"),
        features=path(f"{EPOCH}/features.h5"),
        clusters=path(f"{EPOCH}/clusters.h5"),
    output:
        model=path(f"{EPOCH}/model.safetensors"),
        state=path(f"{EPOCH}/state.pt"),
        metrics=path(f"{EPOCH}/metrics.json"),
    log:
        path(f"logs/{EPOCH}/train.log"),
    benchmark:
        path(f"benchmarks/{EPOCH}/train.tsv")
    wildcard_constraints:
        run=runs_with_gcn(False),
    threads: 16
    resources:
        gpu=1,
    params:
        version=version("train"),
        config=path("config.yaml"),
        number=lambda wildcards: int(wildcards.epoch),
        folder=subpath(output.model, parent=True),
        more=lambda wildcards, input: " ".join(
            f"--{name.replace('_', '-')} {input[name]}"
            for name in ("state", "previous_clusters", "graph", "metadata", "gcn")
            if name in input.keys()
        ),
    shell:
        "mprd train --config {params.config} --index {input.index} --pixels {input.pixels}"
        " --features {input.features} --clusters {input.clusters} --model {input.model}"
        " {params.more} --epoch {params.number} --out {params.folder}"
        " --threads {threads} 2> {log}"


# With `use_gcn` an epoch also reads its graph, the metadata and the GCN, and passes the GCN on.
use rule train as train_gcn with:
    input:
        unpack(before),
        unpack(gcn_before),
        index=path("index.h5"),
        pixels=path("pixels.h5"),
        features=path(f"{EPOCH}/features.h5"),
        clusters=path(f"{EPOCH}/clusters.h5"),
        graph=path(f"{EPOCH}/graph.h5"),
        metadata=path("gcn/metadata.h5"),
    output:
        model=path(f"{EPOCH}/model.safetensors"),
        state=path(f"{EPOCH}/state.pt"),
        metrics=path(f"{EPOCH}/metrics.json"),
        gcn=path(f"{EPOCH}/gcn.safetensors"),
        relations=path(f"{EPOCH}/relations.h5"),
    wildcard_constraints:
        run=runs_with_gcn(True),
