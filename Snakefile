# The entry of the repository: `snakemake --cores all` runs config/config.yaml, the demo.
include: "workflow/Snakefile"
