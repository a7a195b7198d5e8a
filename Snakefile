# The entry of the repository: `snakemake --cores all` runs config/config.yaml, the demo.
include: "workflow/Snakefile"


# Snakemake takes no default target from an included file.
rule everything:
    default_target: True
    input:
        rules.all.input,
