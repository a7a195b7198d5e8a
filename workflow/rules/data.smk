# From image files to pixels.
from mprd.data.datasets.fingerprint import fingerprint

SYNTHETIC = {folder: run for run in reversed(RUNS) if (folder := data_source(run))}


if SYNTHETIC:

    rule synthesize:
        output:
            directory("{folder}"),
        log:
            "{folder}.log",
        wildcard_constraints:
            folder="|".join(map(re.escape, SYNTHETIC)),
        threads: 16
        params:
            version=lambda wildcards: version(SYNTHETIC[wildcards.folder], "synthesize"),
            config=lambda wildcards: str(layout(SYNTHETIC[wildcards.folder]).config),
        shell:
            "mprd synthesize --config {params.config:q} --out {output:q} --threads {threads}"
            " 2> {log:q}"


def data_listing(wildcards):
    """What lies in the folder of a real data set: new or changed images make the index stale."""
    run = RUNS[wildcards.run].config
    if is_synthetic(run) or not workflow.is_main_process:
        return ""
    return fingerprint(run.data.dataset, run.data.root, run.data.reader)


rule index:
    input:
        data=lambda wildcards: data_source(wildcards.run) or [],
        own=own_files("index"),
    output:
        RUN.index,
    log:
        RUN.log("index"),
    benchmark:
        RUN.benchmark("index")
    wildcard_constraints:
        run=owners("index"),
    threads: 16
    resources:
        **job(),
    params:
        version=version_of("index"),
        listing=data_listing,
        config=str(RUN.config),
    shell:
        "mprd index --config {params.config:q} --out {output:q} --threads {threads} 2> {log:q}"


rule pixels:
    input:
        index=RUN.index,
    output:
        RUN.pixels,
    log:
        RUN.log("pixels"),
    benchmark:
        RUN.benchmark("pixels")
    wildcard_constraints:
        run=owners("index", "pixels"),
    threads: 16
    resources:
        **job("pixels"),
    params:
        version=version_of("pixels"),
        config=str(RUN.config),
    shell:
        "mprd pixels --config {params.config:q} --index {input.index:q} --out {output:q}"
        " --threads {threads} 2> {log:q}"


# Runs of a sweep with equal settings share these files by links: no time, no space.


rule share_index:
    input:
        lambda wildcards: layout(owner(wildcards.run, "index")).index,
    output:
        RUN.index,
    wildcard_constraints:
        run=sharers("index"),
    params:
        target=lambda wildcards, input, output: link_target(input[0], output[0]),
    shell:
        "ln -sf -- {params.target:q} {output:q}"


rule share_pixels:
    input:
        lambda wildcards: layout(owner(wildcards.run, "index", "pixels")).pixels,
    output:
        RUN.pixels,
    wildcard_constraints:
        run=sharers("index", "pixels"),
    params:
        target=lambda wildcards, input, output: link_target(input[0], output[0]),
    shell:
        "ln -sf -- {params.target:q} {output:q}"
