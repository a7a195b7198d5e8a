# What decides that jobs run again, and what runs share: small files and links beside the results.
localrules:
    settings,
    shared_settings,
    link,


# The complete settings of a run. Stages read it; their provenance decides whether they run again.
rule settings:
    input:
        lambda wildcards: settings_record(PLANS[wildcards.run]),
    output:
        RUN.config,
    params:
        text=lambda wildcards: PLANS[wildcards.run].config_text,
    shell:
        "printf %s {params.text:q} > {output:q}"


# Beside what runs share: the settings of one of them.
use rule settings as shared_settings with:
    input:
        [],
    output:
        COMMON.config,
    params:
        text=lambda wildcards: OWNERS[wildcards.key].config_text,


# Index, pixels and start lie in folders named by all that decides them; a run links to its own.
rule link:
    input:
        unpack(lambda wildcards: linked_file(PLANS[wildcards.run], wildcards.file)),
    output:
        RUN.folder / "{file}",
    wildcard_constraints:
        file="|".join(re.escape(RunLayout.roles()[role].name) for role in SHARED_ROLES),
    params:
        target=lambda wildcards, input, output: os.path.relpath(
            input.shared, os.path.dirname(output[0])
        ),
    shell:
        "ln -sf -- {params.target:q} {output:q}"
