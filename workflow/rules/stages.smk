# One rule per stage. Facts about a stage come from mprd/pipeline/stages.py.


# The part that all stages have in common; it is no job by itself.
rule stage:
    threads: threads_of
    resources:
        **job_resources,
    params:
        command=command,
    shell:
        "{params.command} 2> {log:q}"


use rule stage as index with:
    input:
        unpack(reads("index")),
        data=synthetic_images,
    output:
        **writes("index"),
    log:
        COMMON.log("index"),
    benchmark:
        COMMON.benchmark("index")


use rule stage as pixels with:
    input:
        unpack(reads("pixels")),
    output:
        **writes("pixels"),
    log:
        COMMON.log("pixels"),
    benchmark:
        COMMON.benchmark("pixels")


use rule stage as init with:
    input:
        unpack(reads("init")),
    output:
        **writes("init"),
    log:
        COMMON.log("init"),
    benchmark:
        COMMON.benchmark("init")


use rule stage as features with:
    input:
        unpack(reads("features")),
    output:
        **writes("features"),
    log:
        RUN.log("{step}", "features"),
    benchmark:
        RUN.benchmark("{step}", "features")


use rule stage as graph with:
    input:
        unpack(reads("graph")),
    output:
        **writes("graph"),
    log:
        RUN.log("{step}", "graph"),
    benchmark:
        RUN.benchmark("{step}", "graph")


use rule stage as transitions with:
    input:
        unpack(reads("transitions")),
    output:
        **writes("transitions"),
    log:
        RUN.log("{step}", "transitions"),
    benchmark:
        RUN.benchmark("{step}", "transitions")


use rule stage as ranks with:
    input:
        unpack(reads("ranks")),
    output:
        **writes("ranks"),
    log:
        RUN.log("{step}", "ranks"),
    benchmark:
        RUN.benchmark("{step}", "ranks")


use rule stage as draft with:
    input:
        unpack(reads("draft")),
    output:
        **writes("draft"),
    log:
        RUN.log("{step}", "draft"),
    benchmark:
        RUN.benchmark("{step}", "draft")


use rule stage as metadata with:
    input:
        unpack(reads("metadata")),
    output:
        **writes("metadata"),
    log:
        RUN.log("gcn", "metadata"),
    benchmark:
        RUN.benchmark("gcn", "metadata")


use rule stage as pretrain with:
    input:
        unpack(reads("pretrain")),
    output:
        **writes("pretrain"),
    log:
        RUN.log("gcn", "pretrain"),
    benchmark:
        RUN.benchmark("gcn", "pretrain")


use rule stage as judge with:
    input:
        unpack(reads("judge")),
    output:
        **writes("judge"),
    log:
        RUN.log("{step}", "judge"),
    benchmark:
        RUN.benchmark("{step}", "judge")


use rule stage as cluster with:
    input:
        unpack(reads("cluster")),
    output:
        **writes("cluster"),
    log:
        RUN.log("{step}", "cluster"),
    benchmark:
        RUN.benchmark("{step}", "cluster")


# The clusters of the start go first: they appear before training takes all cores.
use rule stage as preview with:
    input:
        unpack(reads("preview")),
    output:
        **writes("preview"),
    log:
        RUN.log("preview"),
    benchmark:
        RUN.benchmark("preview")
    priority: 20


use rule stage as train with:
    input:
        unpack(reads("train")),
    output:
        **writes("train"),
    log:
        RUN.log(EPOCHS, "{epoch}", "train"),
    benchmark:
        RUN.benchmark(EPOCHS, "{epoch}", "train")


# With `use_gcn` training also leaves what the relation GCN predicted and learns from.
use rule train as train_gcn with:
    output:
        **writes("train", conditional=True),
    wildcard_constraints:
        run=runs_where(USES_GCN),


ruleorder: train_gcn > train


use rule stage as learn with:
    input:
        unpack(reads("learn")),
    output:
        **writes("learn"),
    log:
        RUN.log(EPOCHS, "{epoch}", "learn"),
    benchmark:
        RUN.benchmark(EPOCHS, "{epoch}", "learn")


# Evaluations go first, so that their metrics appear during a run.
use rule stage as evaluate with:
    input:
        unpack(reads("evaluate")),
    output:
        **writes("evaluate"),
    log:
        RUN.log(EVALUATIONS, "{evaluation}"),
    benchmark:
        RUN.benchmark(EVALUATIONS, "{evaluation}")
    priority: 10


use rule stage as export with:
    input:
        unpack(reads("export")),
    output:
        **writes("export", conditional=True),
    log:
        RUN.log(FINAL, "export"),
    benchmark:
        RUN.benchmark(FINAL, "export")


# A run with `data.features` has no model to leave.
use rule export as export_given with:
    output:
        **writes("export"),
    wildcard_constraints:
        run=runs_where(GIVEN),


ruleorder: export_given > export
