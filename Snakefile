# Unsupervised re-identification in cached stages. `snakemake --cores all` runs config/config.yaml.
from snakemake.utils import min_version

min_version("9.3")

# A config given on the command line replaces the demo's instead of being merged into it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/init.smk"
include: "workflow/rules/gcn.smk"
include: "workflow/rules/epoch.smk"
include: "workflow/rules/epochs.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        final_outputs(),


onstart:
    write_configs()


onsuccess:
    print_tables()
