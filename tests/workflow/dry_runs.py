"""What Snakemake would run for each of two runs."""

import re
from pathlib import Path

import yaml

from mprd.pipeline.stages import STAGES
from tests.workflow.forks import run_here
from tests.workflow.runs import ROOT

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
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(values))
    arguments = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    arguments += ["--configfile", str(path), "--cores", "2", "--dry-run", "--nolock"]
    return planned(run_here(folder, [*arguments, "--", *TARGETS])[1])


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
