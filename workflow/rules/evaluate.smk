# Figures, and what a user takes away. Evaluation goes first, so that figures appear during a run.
BASELINES = sorted(
    {name for run in RUNS.values() for name in run.config.evaluate.baselines}
)


def export_files(wildcards):
    """What the last epoch leaves for the export."""
    last = layout(wildcards.run).epoch(RUNS[wildcards.run].config.epochs)
    files = {"model": last.model}
    if RUNS[wildcards.run].config.uses_judgements:
        files["gcn"] = last.gcn
    return {role: str(path) for role, path in files.items()}


rule evaluate:
    input:
        index=RUN.index,
        pixels=RUN.pixels,
        model=lambda wildcards: layout(wildcards.run).model_after(int(wildcards.epoch)),
    output:
        figures=RUN.evaluation("{epoch}"),
        rankings=RUN.rankings("{epoch}"),
    log:
        RUN.log("evaluation", "{epoch}"),
    benchmark:
        RUN.benchmark("evaluation", "{epoch}")
    priority: 10
    threads: 16
    resources:
        **job("evaluate", device=True),
    params:
        version=version_of("evaluate"),
        config=str(RUN.config),
    shell:
        "mprd evaluate --config {params.config:q} --index {input.index:q} --pixels {input.pixels:q}"
        " --model {input.model:q} --out {output.figures:q} --rankings {output.rankings:q}"
        " --threads {threads} 2> {log:q}"


rule baseline:
    input:
        index=RUN.index,
        pixels=RUN.pixels,
    output:
        figures=RUN.evaluation("{baseline}"),
        rankings=RUN.rankings("{baseline}"),
    log:
        RUN.log("evaluation", "{baseline}"),
    wildcard_constraints:
        baseline="|".join(map(re.escape, BASELINES)) or "(?!)",
    priority: 10
    threads: 16
    resources:
        **job("evaluate", device=True),
    params:
        version=version_of("evaluate"),
        code=lambda wildcards: piece_digest(
            "evaluate.baselines", wildcards.baseline, RUNS[wildcards.run].config
        ),
        config=str(RUN.config),
    shell:
        "mprd evaluate --config {params.config:q} --index {input.index:q} --pixels {input.pixels:q}"
        " --baseline {wildcards.baseline:q} --out {output.figures:q} --rankings {output.rankings:q}"
        " --threads {threads} 2> {log:q}"


rule export:
    input:
        unpack(export_files),
        index=RUN.index,
        pixels=RUN.pixels,
        own=own_files("export"),
    output:
        **RUN.final.files(judged=False, ranked=False),
    log:
        RUN.log("export"),
    benchmark:
        RUN.benchmark("export")
    wildcard_constraints:
        run=runs_where(lambda run: not RUNS[run].config.uses_judgements),
    threads: 16
    resources:
        **job("export", device=True),
    params:
        version=version_of("export"),
        config=str(RUN.config),
        folder=str(RUN.final.folder),
        files=lambda wildcards: options(export_files(wildcards)),
    shell:
        "mprd export --config {params.config:q} --index {input.index:q} --pixels {input.pixels:q}"
        " {params.files:q} --out {params.folder:q} --threads {threads} 2> {log:q}"


# With judged clusters the judgements of the last model's pairs are left, too.
use rule export as export_judged with:
    output:
        **RUN.final.files(judged=True, ranked=False),
    wildcard_constraints:
        run=runs_where(
            lambda run: RUNS[run].config.uses_judgements and not RUNS[run].config.uses_ranks
        ),


use rule export as export_ranked with:
    output:
        **RUN.final.files(judged=True, ranked=True),
    wildcard_constraints:
        run=runs_where(lambda run: RUNS[run].config.uses_judgements and RUNS[run].config.uses_ranks),
