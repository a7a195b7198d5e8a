# The CNN that the first epoch starts from.
START = ("index", "pixels", "init")


rule init:
    input:
        index=path("index.h5"),
        pixels=path("pixels.h5"),
    output:
        model=path("init/model.safetensors"),
        metrics=path("init/metrics.json"),
    log:
        path("logs/init.log"),
    benchmark:
        path("benchmarks/init.tsv")
    wildcard_constraints:
        run=owners(*START),
    threads: 16
    resources:
        gpu=1,
    params:
        version=version("init"),
        config=path("config.yaml"),
    shell:
        "mprd init --config {params.config} --index {input.index} --pixels {input.pixels}"
        " --out {output.model} --metrics {output.metrics} --threads {threads} 2> {log}"


rule share_init:
    input:
        model=lambda wildcards: path(
            "init/model.safetensors", owner(wildcards.run, *START)
        ),
        metrics=lambda wildcards: path(
            "init/metrics.json", owner(wildcards.run, *START)
        ),
    output:
        model=path("init/model.safetensors"),
        metrics=path("init/metrics.json"),
    wildcard_constraints:
        run=sharers(*START),
    params:
        target=link_target,
    shell:
        "ln -sf {params.target} {output.model};"
        " ln -sf $(dirname {params.target})/metrics.json {output.metrics}"
