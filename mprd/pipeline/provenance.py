"""What decides the result of a stage beside its input files: settings, code, files of the user.

It is kept beside the results, in `<run>/provenance/<stage>-<digest>.json`, and is an input of the
stage's jobs. A change gives the file another name, so it is written anew when a run is planned, is
newer than the results, and they are made again. Going back does the same, for a stage has one such
file at a time. Nothing depends on the working directory, on how the results folder is reached, or
on `.snakemake`.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mprd.artifacts.files import atomic, sha256_file
from mprd.config import Config
from mprd.pipeline.code_digest import code_digest, piece_digest
from mprd.pipeline.conditions import SYNTHETIC
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.location import data_location
from mprd.pipeline.settings import stage_settings, user_files
from mprd.pipeline.shared import SHARED_ROLES
from mprd.pipeline.stage import Place
from mprd.pipeline.stages import STAGES, stage

CHANGED = "changed: "
_DIGITS = 12
_PATHS = ("plugins", *dict.fromkeys(key for one in STAGES for key in one.files))


@dataclass
class Provenance:
    """The provenance of all stages of a run.

    Attributes:
        config: of the run.
        layout: of the run.
        listing: returns a digest of what lies in the folder of the data set; called when the
            provenance of stage `index` is asked for.
        files: name -> text of each file whose path was asked for.
    """

    config: Config
    layout: RunLayout
    listing: Callable[[Config], str]
    files: dict[str, str] = field(default_factory=dict)
    _replaced: dict[Path, tuple[bytes, os.stat_result]] = field(default_factory=dict)
    _written: list[Path] = field(default_factory=list)
    _texts: dict[tuple[str, bool, str], str] = field(default_factory=dict)
    _paths: dict[tuple[str, bool, str], Path] = field(default_factory=dict)

    def text(self, name: str, *, final: bool = False, piece: str = "") -> str:
        """Return the provenance of a stage as JSON.

        Args:
            name: of the stage.
            final: it works at the end of the run.
            piece: descriptor of a baseline's evaluation; "": another job.
        """
        final = final and stage(name).differs_at_the_end
        key = (name, final, piece)
        if key not in self._texts:
            self._texts[key] = json.dumps(self._content(*key), sort_keys=True)
        return self._texts[key]

    def path(self, name: str, *, final: bool = False, piece: str = "") -> Path:
        """Return the file of a stage's provenance; arguments as `text`."""
        final = final and stage(name).differs_at_the_end
        key = (name, final, piece)
        if key not in self._paths:
            label = f"final_{name}" if final else name
            text = self.text(name, final=final, piece=piece)
            self._paths[key] = self.path_of(f"{label}_{piece}" if piece else label, text)
        return self._paths[key]

    def path_of(self, label: str, text: str) -> Path:
        """Return the file of a text, named by label and content."""
        path = self.layout.provenance / f"{label}-{_digest(text)}.json"
        self.files[path.name] = text
        return path

    def write(self, path: Path) -> None:
        """Write a file whose path was asked for, in place of the one before it.

        It is newer than all results of its stage, so these are made again.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in _of_one_label(path):
            self._replaced[old] = (old.read_bytes(), old.stat())
            old.unlink()
        with atomic(path, lock=False) as temporary:
            temporary.write_text(self.files[path.name] + "\n", encoding="utf-8")
        self._written.append(path)

    def restore(self) -> None:
        """Take back all that was written: no stage ran for it."""
        for path in self._written:
            path.unlink(missing_ok=True)
        for path, (content, status) in self._replaced.items():
            with atomic(path, lock=False) as temporary:
                temporary.write_bytes(content)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        self._written.clear()
        self._replaced.clear()

    def difference(self, path: Path) -> str:
        """Return what differs from the provenance that a stage had before, in words."""
        old = _of_one_label(path)
        if not old:
            return "no record of settings and code"
        before, now = old[0].read_text(encoding="utf-8"), self.files[path.name]
        return f"{CHANGED}{', '.join(differences(json.loads(before), json.loads(now)))}"

    def shared_key(self, name: str) -> str:
        """Return what names the folder of a shared stage: all that decides its result."""
        makers = dict.fromkeys(SHARED_ROLES[read.role] for read in stage(name).reads)
        above = [self.shared_key(maker) for maker in makers]
        return f"{name}-{_digest('|'.join([*above, self.text(name)]))}"

    def _content(self, name: str, final: bool, piece: str) -> dict[str, Any]:
        config = self.config
        settings = stage_settings(config, name, final=final)
        content: dict[str, Any] = {
            "stage": name,
            "settings": settings,
            "code": code_digest(name, config),
            "files": {},
        }
        # A file counts by what is in it, however it is reached.
        for key in _PATHS:
            *sections, last = key.split(".")
            section = settings
            for part in sections:
                section = section.get(part, {})
            if section.pop(last, None) is not None and key != "data.root":
                content["files"][key] = "missing"  # until it is found there
        for key, path in user_files(config, name, final=final).items():
            content["files"][key] = _file_digest(path, path.stat().st_mtime_ns)
        own = self.layout.decisions
        takes = final and any(one.name == "decisions" for one in stage(name).options)
        if takes and _has_entries(own):
            content["files"][own.name] = _file_digest(own, own.stat().st_mtime_ns)
        if piece:
            content["piece"] = piece_digest("evaluate.baselines", piece, config)
        if name == "index":
            content["root"] = str(data_location(config).resolve())  # is written into the index
            # A folder of synthetic images is named by its content, a manifest is digested above.
            known = SYNTHETIC.holds(config) or config.data.root.is_file()
            content["listing"] = "" if known else self.listing(config)
        return content


def _has_entries(log: Path) -> bool:
    """Tell whether a log of decisions has more than its first line, with which it is opened."""
    if not log.is_file():
        return False
    with log.open("rb") as file:
        file.readline()
        return bool(file.readline())


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what differs between two records of a stage, as a user calls it, sorted."""
    return sorted(set(_compare(old, new)))


def _compare(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Yield what has changed, as a user calls it: settings by their keys."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {*old, *new}:
            below = f"{name}.{key}" if name and name not in ("settings", "files") else key
            yield from _compare(old.get(key), new.get(key), below)
    elif old != new:
        yield {"listing": "the images", "code": "the code of mprd"}.get(name, name)


def is_shared(name: str) -> bool:
    """Tell whether a stage's results lie in a folder named by all that decides them."""
    return stage(name).place is Place.SHARED


def _of_one_label(path: Path) -> list[Path]:
    """Return the files beside a file of provenance that have its label."""
    label = path.name.rpartition("-")[0]
    return [old for old in path.parent.glob("*.json") if old.name.rpartition("-")[0] == label]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


@cache
def _file_digest(path: Path, modified: int) -> str:
    return sha256_file(path)
