"""Snakemake in forks of a process that knows it: a new interpreter costs more than a dry run.

Snakemake keeps what it parsed in globals, so a process asks once. Processes come from a fork
server, which has no threads: a fork of pytest's own process, whose libraries have started some,
hangs now and then.
"""

import contextlib
import io
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import snakemake.cli

from mprd.config import Config
from mprd.pipeline import plan  # noqa: F401 - the Snakefile imports it
from mprd.pipeline.code_digest import code_digest
from mprd.pipeline.stages import STAGES

# The fork server reads the code once.
for one in STAGES:
    code_digest(one.name, Config())


def run_here(folder: Path, arguments: list[str]) -> tuple[int, str]:
    """Run Snakemake in this process, in a folder; return its exit code and what it prints."""
    os.chdir(folder)
    output, code = io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            snakemake.cli.main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, output.getvalue()


def in_forks(function: Callable, *arguments: Iterable) -> list:
    """Map a function over arguments, two at a time, each call in its own process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.workflow.forks"])
    with ProcessPoolExecutor(2, context, max_tasks_per_child=1) as pool:
        return list(pool.map(function, *arguments))
