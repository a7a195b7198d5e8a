# What people look at: tables and pages.
rule table:
    input:
        figures=lambda wildcards: evaluations(wildcards.run),
        metrics=lambda wildcards: epoch_files(wildcards.run, "metrics"),
        clusters=lambda wildcards: epoch_files(wildcards.run, "clusters"),
    output:
        report(
            RUN.table,
            caption="../report/table.rst",
            category="Figures",
            labels={"run": "{run}"},
        ),
    log:
        RUN.log("table"),
    params:
        version=version_of("table"),
        folder=str(RUN.folder),
    shell:
        "mprd table --out {output:q} -- {params.folder:q} > {log:q} 2>&1"


rule summary:
    input:
        tables=[layout(run).table for run in RUNS],
    output:
        report(
            summary_table(RESULTS), caption="../report/summary.rst", category="Figures"
        ),
    log:
        summary_table(RESULTS).with_suffix(".log"),
    params:
        tables=[f"{run.variant}={layout(run.name).table}" for run in RUNS.values()],
    shell:
        "mprd summary --out {output:q} -- {params.tables:q} > {log:q} 2>&1"


def final_files(wildcards):
    """What the export leaves."""
    config = RUNS[wildcards.run].config
    return layout(wildcards.run).final.files(config.uses_judgements, config.uses_ranks).values()


rule report:
    input:
        table=RUN.table,
        final=final_files,
    output:
        report(
            RUN.report,
            caption="../report/run.rst",
            category="Runs",
            labels={"run": "{run}"},
        ),
    log:
        RUN.log("report"),
    benchmark:
        RUN.benchmark("report")
    params:
        version=version_of("report"),
        folder=str(RUN.folder),
    shell:
        "mprd report --out {output:q} -- {params.folder:q} > {log:q} 2>&1"


rule compare:
    input:
        tables=[layout(run).table for run in RUNS],
        finals=[layout(run).final.table for run in RUNS],
    output:
        report(comparison(RESULTS), caption="../report/comparison.rst", category="Runs"),
    log:
        comparison(RESULTS).with_suffix(".log"),
    params:
        version=[version(run, "report") for run in RUNS],
        folders=[str(layout(run).folder) for run in RUNS],
    shell:
        "mprd report --out {output:q} -- {params.folders:q} > {log:q} 2>&1"
