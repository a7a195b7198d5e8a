# `epochs_per_job` above 1: a job does several epochs in one process, with the same files. Their
# names have no wildcard in common, so each job is a rule of its own. What labels epoch 1 stays with
# the rules of the stages: the relation GCN is pre-trained on it.
BLOCKS = [
    (plan, first, last)
    for plan in PLANS.values()
    if plan.config.epochs_per_job > 1
    for first, last in plan.blocks()
]

for number, (plan, first, last) in enumerate(BLOCKS):

    rule:
        name:
            f"epochs_{number}"
        input:
            unpack(functools.partial(block_reads, plan, first, last)),
        output:
            [str(path) for path in plan.block_outputs(first, last)],
        log:
            plan.layout.log(*plan.block_name(first, last)),
        benchmark:
            plan.layout.benchmark(*plan.block_name(first, last))
        threads: threads_of
        resources:
            **job_resources,
        params:
            command=functools.partial(block_command, plan, first, last),
        shell:
            "{params.command} 2> {log:q}"

    workflow.ruleorder(
        f"epochs_{number}", "train_gcn", *(one.name for one in EPOCH_STAGES)
    )
