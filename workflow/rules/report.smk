# What people look at: tables and pages.
rule table:
    input:
        unpack(reads("table")),
    output:
        report(
            RUN.table,
            caption="../report/table.rst",
            category="Metrics",
            labels={"run": "{run}"},
        ),
    log:
        RUN.log("table"),
    shell:
        'mprd table --out {output:q} -- "$(dirname -- {output:q})" > {log:q} 2>&1'


# What is made from all runs.
TOGETHER = Freshness(
    RunLayout(shared_folder(RESULTS)),
    lambda: {
        ("summary",): JobFiles(
            tuple(plan.layout.table for plan in PLANS.values()),
            (summary_table(RESULTS),),
        ),
        ("compare",): JobFiles(
            tuple(plan.layout.report for plan in PLANS.values()), (comparison(RESULTS),)
        ),
    },
    file_digest,
)


rule summary:
    input:
        lambda wildcards: of_all_runs("summary"),
    output:
        report(
            summary_table(RESULTS), caption="../report/summary.rst", category="Metrics"
        ),
    log:
        summary_table(RESULTS).with_suffix(".log"),
    params:
        tables=[f"{run.variant}={PLANS[run.name].layout.table}" for run in RUNS],
    shell:
        "mprd summary --out {output:q} -- {params.tables:q} > {log:q} 2>&1"


rule report:
    input:
        unpack(reads("report")),
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
    shell:
        'mprd report --out {output:q} -- "$(dirname -- {output:q})" > {log:q} 2>&1'


rule compare:
    input:
        lambda wildcards: of_all_runs("compare"),
    output:
        report(comparison(RESULTS), caption="../report/comparison.rst", category="Runs"),
    log:
        comparison(RESULTS).with_suffix(".log"),
    params:
        folders=[str(plan.layout.folder) for plan in PLANS.values()],
    shell:
        "mprd report --out {output:q} -- {params.folders:q} > {log:q} 2>&1"
