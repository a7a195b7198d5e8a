"""Snakemake's own style check."""

import re
import subprocess
import sys

from tests.workflow.runs import ROOT

# workflow/Snakefile says why.
NO_ENVIRONMENT = "Specify a conda environment or container for each rule."
NO_LOG = "No log directive defined"
ONLY_SMALL_FILES = {"settings", "shared_settings", "link", "stage"}


def test_the_linter_finds_just_what_is_known():
    command = [sys.executable, "-m", "snakemake", "--lint", "--snakefile", str(ROOT / "Snakefile")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    found = {}
    for block in re.split(r"^Lints for ", done.stdout + done.stderr, flags=re.MULTILINE)[1:]:
        found[block.split(" (")[0]] = re.findall(r"^    \* (.+?):?$", block, re.MULTILINE)
    assert found, "it has run"
    no_logs = {f"rule {name}" for name in ONLY_SMALL_FILES}
    assert {rule for rule, lints in found.items() if NO_LOG in lints} == no_logs
    assert {lint.rstrip(":") for lints in found.values() for lint in lints} == {
        NO_ENVIRONMENT.rstrip(":"),
        NO_LOG,
    }
