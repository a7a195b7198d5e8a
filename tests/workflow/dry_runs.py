"""What Snakemake would run for each of two runs."""

import re
from pathlib import Path

from mprd.pipeline.stages import STAGES
from tests.workflow.runs import configure, snakemake

ASKED = ("tiny", "gcn")
SHARED = ("index", "pixels", "init")
TARGETS = [
    f"results/{run}/{name}"
    for run in ASKED
    for name in ("report.html", "final/clusters.csv", "start/clusters.csv")
]


def dry_run(task: tuple[Path, dict]) -> dict[str, set[str]]:
    """Return run -> stages that Snakemake would run on a folder with these values."""
    folder, values = task
    (folder / "config.yaml").unlink(missing_ok=True)  # perhaps a link to another one
    configure(folder, values)
    return planned(snakemake(folder, "--dry-run", "--nolock", "--", *TARGETS))


def planned(text: str) -> dict[str, set[str]]:
    """Read the stages of each run from what a dry run prints."""
    found: dict[str, set[str]] = {run: set() for run in ASKED}
    names = {"train_gcn": "train"}
    stages = {stage.name for stage in STAGES}
    for block in re.split(r"\n(?=\[)", text):
        rule = re.search(r"^(?:local)?rule (\w+):", block, re.MULTILINE)
        wildcard = re.search(r"^    wildcards: run=([\w-]+)", block, re.MULTILINE)
        if rule and rule[1] in SHARED:
            for stages_of_run in found.values():  # the runs that are asked about have equal ones
                stages_of_run.add(rule[1])
        if rule and wildcard:
            # A run links to what a stage makes for all runs with equal settings.
            linked = re.search(r"file=(?:(\w+)\.h5|(init)/)", block)
            name = (linked[1] or linked[2]) if linked else names.get(rule[1], rule[1])
            found[wildcard[1]] |= {name} & stages
    return found
