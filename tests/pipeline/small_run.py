"""A run of text files with the jobs of two epochs: for what is known of contents and times."""

import os
from pathlib import Path

from mprd.artifacts.files import sha256_file
from mprd.pipeline.freshness import Freshness, JobFiles
from mprd.pipeline.layout import RunLayout

# Job -> what it reads, what it writes, its provenance, and the jobs above.
PLAN = {
    ("link",): (["source"], ["index"], None, []),
    ("features", "001"): (["index"], ["1/features"], "features", [("link",)]),
    ("train", "001"): (["1/features"], ["1/model", "1/metrics"], "train", [("features", "001")]),
    ("features", "002"): (["index", "1/model"], ["2/features"], "features", [("train", "001")]),
    ("train", "002"): (["2/features"], ["2/model", "2/metrics"], "train", [("features", "002")]),
    ("table",): (
        ["1/metrics", "2/metrics"],
        ["table"],
        "table",
        [("train", "001"), ("train", "002")],
    ),
}
MADE = [name for _, writes, _, _ in PLAN.values() for name in writes]
OLDEST, NEWEST = 10**9, 4 * 10**9


def jobs_in(folder: Path) -> dict:
    return {
        job: JobFiles(
            tuple(folder / name for name in reads),
            tuple(folder / name for name in writes),
            folder / f"provenance/{provenance}-0.json" if provenance else None,
            tuple(after),
        )
        for job, (reads, writes, provenance, after) in PLAN.items()
    }


def fresh(folder: Path, jobs: dict | None = None, digest=sha256_file) -> Freshness:
    """What a new process knows of a run."""
    return Freshness(RunLayout(folder), lambda: jobs or jobs_in(folder), digest)


def make(folder: Path) -> Path:
    """Write the files of a finished run, each newer than what it was made from."""
    jobs = jobs_in(folder)
    sources = [path for files in jobs.values() for path in (*files.reads, files.provenance)]
    made = [path for files in jobs.values() for path in files.writes]
    ordered = [path for path in sources if path and path not in made] + made
    for number, path in enumerate(dict.fromkeys(ordered)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {path.name} {number}")
        os.utime(path, (2 * 10**9 + number,) * 2)
    return folder


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def below(*jobs: tuple[str, ...]) -> set:
    """Jobs and all that follows from them."""
    found = set(jobs)
    for job, (_, _, _, after) in PLAN.items():
        if found.intersection(after):
            found.add(job)
    return found


def readers(name: str) -> set:
    return {job for job, (reads, _, _, _) in PLAN.items() if name in reads}


def maker(name: str) -> tuple[str, ...]:
    return next(job for job, (_, writes, _, _) in PLAN.items() if name in writes)


def unsettled(folder: Path) -> set:
    return set(PLAN) - fresh(folder).settled
