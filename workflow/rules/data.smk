# Synthetic images, in a folder named by their settings and the generator's code.
SYNTHETIC = {str(plan.synthetic): plan for plan in PLANS.values() if plan.synthetic}


if SYNTHETIC:

    rule synthesize:
        input:
            settings=settings_of_images,
        output:
            directory("{folder}"),
        log:
            "{folder}.log",
        wildcard_constraints:
            folder="|".join(map(re.escape, SYNTHETIC)),
        threads: 16
        params:
            config=lambda wildcards: str(
                SYNTHETIC[wildcards.folder].home("index").config
            ),
        shell:
            "mprd synthesize --config {params.config:q} --out {output:q} --threads {threads}"
            " 2> {log:q}"
