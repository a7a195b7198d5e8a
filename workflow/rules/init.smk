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
        **job("init", device=True),
    params:
        version=version_of("init"),
        config=str(RUN.config),
    shell:
        "mprd init --config {params.config:q} --index {input.index:q} --pixels {input.pixels:q}"
        " --out {output.model:q} --metrics {output.metrics:q} --threads {threads} 2> {log:q}"


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
        model=lambda wildcards, input, output: link_target(input.model, output.model),
        metrics=lambda wildcards, input, output: link_target(
            input.metrics, output.metrics
        ),
    shell:
        "ln -sf -- {params.model:q} {output.model:q};"
        " ln -sf -- {params.metrics:q} {output.metrics:q}"
