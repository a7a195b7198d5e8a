# The CNN that the first epoch starts from.
START = ("index", "pixels", "init")


rule init:
    input:
        index=RUN.index,
        pixels=RUN.pixels,
        own=own_files("init"),
    output:
        model=RUN.initial_model,
        metrics=RUN.initial_metrics,
    log:
        RUN.log("init"),
    benchmark:
        RUN.benchmark("init")
    wildcard_constraints:
        run=owners(*START),
    threads: 16
    resources:
        gpu=1,
    params:
        version=version_of("init"),
        config=str(RUN.config),
    shell:
        "mprd init --config {params.config} --index {input.index} --pixels {input.pixels}"
        " --out {output.model} --metrics {output.metrics} --threads {threads} 2> {log}"


rule share_init:
    input:
        model=lambda wildcards: layout(owner(wildcards.run, *START)).initial_model,
        metrics=lambda wildcards: layout(owner(wildcards.run, *START)).initial_metrics,
    output:
        model=RUN.initial_model,
        metrics=RUN.initial_metrics,
    wildcard_constraints:
        run=sharers(*START),
    params:
        target=link_target,
    shell:
        "ln -sf {params.target} {output.model};"
        " ln -sf $(dirname {params.target})/$(basename {output.metrics}) {output.metrics}"
