# From image files to pixels.
SYNTHETIC = {folder: run for run in reversed(RUNS) if (folder := data_source(run))}


if SYNTHETIC:

    rule synthesize:
        output:
            directory("{folder}"),
        wildcard_constraints:
            folder="|".join(map(re.escape, SYNTHETIC)),
        threads: 16
        params:
            version=lambda wildcards: settings(
                SYNTHETIC[wildcards.folder], "synthesize"
            ),
            config=lambda wildcards: path("config.yaml", SYNTHETIC[wildcards.folder]),
        shell:
            "mprd synthesize --config {params.config} --out {output} --threads {threads}"


rule index:
    input:
        data=lambda wildcards: data_source(wildcards.run) or [],
    output:
        path("index.h5"),
    log:
        path("logs/index.log"),
    benchmark:
        path("benchmarks/index.tsv")
    wildcard_constraints:
        run=owners("index"),
    threads: 16
    params:
        version=version("index"),
        config=path("config.yaml"),
    shell:
        "mprd index --config {params.config} --out {output} --threads {threads} 2> {log}"


rule pixels:
    input:
        index=path("index.h5"),
    output:
        path("pixels.h5"),
    log:
        path("logs/pixels.log"),
    benchmark:
        path("benchmarks/pixels.tsv")
    wildcard_constraints:
        run=owners("index", "pixels"),
    threads: 16
    params:
        version=version("pixels"),
        config=path("config.yaml"),
    shell:
        "mprd pixels --config {params.config} --index {input.index} --out {output}"
        " --threads {threads} 2> {log}"


# Runs of a sweep with equal settings share these files by links: no time, no space.


rule share_index:
    input:
        lambda wildcards: path("index.h5", owner(wildcards.run, "index")),
    output:
        path("index.h5"),
    wildcard_constraints:
        run=sharers("index"),
    params:
        target=link_target,
    shell:
        "ln -sf {params.target} {output}"


rule share_pixels:
    input:
        lambda wildcards: path("pixels.h5", owner(wildcards.run, "index", "pixels")),
    output:
        path("pixels.h5"),
    wildcard_constraints:
        run=sharers("index", "pixels"),
    params:
        target=link_target,
    shell:
        "ln -sf {params.target} {output}"
