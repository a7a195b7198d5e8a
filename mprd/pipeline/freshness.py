"""Files that are newer than what was made from them, but hold the same: they run nothing again.

Snakemake compares modification times. `touch`, a copy, or a restored backup changes times and no
contents. So at the end of a run the contents of all files are noted in `provenance/contents.json`:
for each job the digests of what it read and wrote. A job whose files still have these digests, in
whatever order their times are, is settled, and so is all that it was made from. A file that a
finished run does not keep is noted as removed: it counts as there, with the digest that it had.
"""

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mprd.artifacts.files import atomic
from mprd.pipeline.layout import RunLayout

Job = tuple[str, ...]  # stage and step


@dataclass(frozen=True)
class JobFiles:
    """What a job reads and writes.

    Attributes:
        reads: files.
        writes: files.
        provenance: of its stage; None: the path of what it writes stands for it.
        after: the jobs that make what it reads.
    """

    reads: tuple[Path, ...]
    writes: tuple[Path, ...]
    provenance: Path | None = None
    after: tuple[Job, ...] = ()

    @property
    def provenance_name(self) -> str:
        """The name of its provenance."""
        return "" if self.provenance is None else self.provenance.name


@dataclass
class Freshness:
    """What is known of the contents of a run's files.

    Attributes:
        layout: of the run.
        plan: returns the files of each job that the run's config has, by name, each after the jobs
            that make what it reads.
        digest: returns the digest of a file's content.
    """

    layout: RunLayout
    plan: Callable[[], dict[Job, JobFiles]]
    digest: Callable[[Path], str]
    _noted: dict | None = None

    @cached_property
    def jobs(self) -> dict[Job, JobFiles]:
        """The files of each job, each after the jobs that make what it reads."""
        return self.plan()

    def done(self, job: Job, writes: Iterable[Path]) -> bool:
        """Tell whether a job has nothing to do.

        Args:
            job: name.
            writes: its results.
        """
        # Most jobs are asked about before a run, when this is the end of it.
        if not all(map(self.there, writes)):
            return False
        return job in self.settled

    def there(self, path: Path) -> bool:
        """Tell whether a file is there, or was removed after its content had been noted."""
        return path.is_file() or self.removed(path)

    def removed(self, path: Path) -> bool:
        """Tell whether a file was removed after its content had been noted."""
        noted, name = self._read(), self._name(path)
        return name in noted["removed"] and name in noted["files"] and not path.is_file()

    @cached_property
    def settled(self) -> set[Job]:
        """The jobs whose results are those of their inputs, and so on upwards."""
        found: set[Job] = set()
        for job, files in self.jobs.items():
            there = all(map(self.there, (*files.reads, *files.writes)))
            above = found.issuperset(files.after)
            if there and above and (_in_order(files) or self._as_noted(job, files)):
                found.add(job)
        return found

    def note(self) -> None:
        """Write down the contents of the files of all jobs that are done."""
        old = self._read()
        known = old["files"]
        # What was noted of other settings stays, for a return to them.
        found, digests = dict(old["jobs"]), dict(known)
        for job, files in self.jobs.items():
            paths = (*files.reads, *files.writes)
            if not all(path.is_file() for path in paths):
                continue
            if not (_in_order(files) or self._as_noted(job, files)):
                continue
            for path in paths:
                digests[self._name(path)] = self._facts(path, known)
            found["/".join(job)] = [
                files.provenance_name,
                {self._name(path): digests[self._name(path)][2] for path in paths},
            ]
        content = {"jobs": found, "files": digests, "removed": old["removed"]}
        if found and content != old:
            self._write(content)

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove files for good, if no job has anything to do; nothing else.

        Args:
            paths: files that the run can do without; their contents are noted.
        """
        now = Freshness(self.layout, self.plan, self.digest)
        if now.settled != set(self.jobs):
            return
        noted = now._read()
        going = {now._name(path): path for path in paths if now.there(path)}
        going = {name: path for name, path in going.items() if name in noted["files"]}
        if not any(path.is_file() for path in going.values()):
            return
        # First the note: after a kill in between, files that are still there count as they are.
        now._write({**noted, "removed": dict.fromkeys(sorted(going), True)})
        for path in going.values():
            path.unlink(missing_ok=True)
        self._noted = now._noted

    def _write(self, content: dict) -> None:
        with atomic(self._path, lock=False) as temporary:
            temporary.write_text(json.dumps(content, sort_keys=True), encoding="utf-8")
        self._noted = content

    def _as_noted(self, job: Job, files: JobFiles) -> bool:
        noted = self._read()
        entry = noted["jobs"].get("/".join(job))
        if entry is None or entry[0] != files.provenance_name:
            return False
        return all(
            entry[1].get(self._name(path)) == self._facts(path, noted["files"])[2]
            for path in (*files.reads, *files.writes)
        )

    def _facts(self, path: Path, known: dict[str, list]) -> list:
        """Return size, time and digest of a file; that of an unchanged one is known."""
        before = known.get(self._name(path))
        if before and self.removed(path):
            return before
        status = path.stat()
        if before and before[:2] == [status.st_size, status.st_mtime_ns]:
            return before
        return [status.st_size, status.st_mtime_ns, self.digest(path)]

    def _read(self) -> dict:
        if self._noted is None:
            self._noted = {"jobs": {}, "files": {}, "removed": {}}
            if self._path.is_file():
                with suppress(
                    ValueError, KeyError, TypeError, AttributeError
                ):  # damaged: times decide
                    content = json.loads(self._path.read_text(encoding="utf-8"))
                    content.setdefault("removed", {})  # a note of an earlier version has none
                    self._noted = {key: dict(content[key]) for key in self._noted}
        return self._noted

    @property
    def _path(self) -> Path:
        return self.layout.provenance / "contents.json"

    def _name(self, path: Path) -> str:
        return os.path.relpath(path, self.layout.folder)


def _in_order(files: JobFiles) -> bool:
    """Tell whether no result of a job is older than what it read, its provenance among it."""
    sources = [*files.reads, *filter(None, [files.provenance])]
    if not all(path.is_file() for path in (*sources, *files.writes)):
        return False
    return min(map(_modified, files.writes)) >= max(map(_modified, sources), default=0.0)


def _modified(path: Path) -> float:
    """Return the modification time as Snakemake sees it: of a link the later of both."""
    return max(path.stat().st_mtime, path.lstat().st_mtime)
