"""Which files of a run a config would make again, and why; nothing is run for the answer."""

from collections.abc import Mapping

from mprd.pipeline.freshness import Job, JobFiles
from mprd.pipeline.plan import RunPlan


def stale_files(plan: RunPlan, reasons: Mapping[Job, str] | None = None) -> dict[str, str]:
    """Return the files of a run that are there and would be made again, and why.

    Args:
        plan: of the run, by the config that it would go on with.
        reasons: of the jobs that would run; None: as `stale_jobs` finds them.
    """
    jobs = plan.freshness.jobs
    return {
        str(path): why
        for job, why in (stale_jobs(plan) if reasons is None else reasons).items()
        for path in jobs[job].writes
        if path.is_file() and plan.layout.folder in path.parents
    }


def stale_jobs(plan: RunPlan) -> dict[Job, str]:
    """Return the jobs of a run that would run, and why; the argument as above."""
    reasons: dict[Job, str] = {}
    for job, files in plan.freshness.jobs.items():  # each after those that make what it reads
        if why := _reason(plan, job, files, reasons):
            reasons[job] = why
    return reasons


def _reason(plan: RunPlan, job: Job, files: JobFiles, others: dict[Job, str]) -> str:
    """Return why a job would run; "": it would not."""
    if files.provenance is not None and not files.provenance.is_file():
        return plan.provenance.difference(files.provenance)
    there = plan.freshness.there
    missing = [path.name for path in (*files.writes, *files.reads) if not there(path)]
    if any(other in others for other in files.after):
        return "follows from others"
    if missing:
        return f"{missing[0]} is missing"
    return "" if job in plan.freshness.settled else "an input is newer"
