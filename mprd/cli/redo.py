"""What `mprd run` makes again of a run that has results, and why, before it begins."""

from pathlib import Path
from typing import Any

from mprd.artifacts import INDEX, read_artifact
from mprd.artifacts.files import file_digest, sha256_file
from mprd.cli.follow import layout_of
from mprd.config import Config, Run, load_config, read_yaml
from mprd.data.added import added_paths
from mprd.data.datasets.fingerprint import data_fingerprint
from mprd.data.datasets.registry import load_reader, read_dataset
from mprd.decisions.reading import places
from mprd.errors import UserError, many, pasted
from mprd.pipeline.freshness import Job
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.location import data_location
from mprd.pipeline.plan import RunPlan
from mprd.pipeline.provenance import CHANGED, differences, is_shared
from mprd.pipeline.settings import stage_settings
from mprd.pipeline.stages import STAGES
from mprd.pipeline.stale import stale_files, stale_jobs


def redone(run: Run) -> list[str]:
    """Return lines on what a run makes again, and why; none where it only goes on.

    Args:
        run: of a config that `mprd run` is given.
    """
    plan = RunPlan(run, data_fingerprint, file_digest)
    if not plan.layout.config.is_file():
        return []
    reasons = stale_jobs(plan)
    again = [job for job in reasons if _has_results(plan, job)]
    if not again:
        return []
    causes = list(dict.fromkeys(filter(None, (_cause(plan, job, reasons[job]) for job in again))))
    names = {job[0] for job in again if job[0] != "link"} | _moved(plan)
    stages = ", ".join(one.name for one in STAGES if one.name in names)
    lines = [f"{run.name}: makes again {stages}" + (f" ({'; '.join(causes)})" if causes else "")]
    lines += added_lines(plan.layout, plan.config) if "index" in names else []
    if (
        "export" in names
        and plan.layout.final.table.is_file()
        and run.config.export.numbers is None
    ):
        lines.append(f"  the clusters keep their numbers of {plan.layout.final.table}")
    return lines


def stale_because(plan: RunPlan) -> dict[str, str]:
    """Return the files of a run that are there and would be made again, and why.

    As `stale_files`, but what changed behind the files that runs share is named, too.

    Args:
        plan: of the run, by the config that it would go on with.
    """
    reasons = stale_jobs(plan)
    causes = {job: _cause(plan, job, why) for job, why in reasons.items() if job[0] == "link"}
    return stale_files(plan, reasons | {job: why for job, why in causes.items() if why})


def require_same_images(run: Run) -> None:
    """Check that a run does not take the place of one with other images.

    Raises:
        UserError: the config names another folder, and none of its images is among those of the
            results.
    """
    layout, config = layout_of(run), run.config
    if not (layout.config.is_file() and layout.index.is_file()):
        return
    before = _listed_settings(layout).get("data")
    now = (config.data.dataset, str(config.data.root))
    if isinstance(before, dict) and (before.get("dataset"), before.get("root")) == now:
        return
    listed = _listed(config)
    indexed = read_artifact(layout.index, INDEX, ("path",))["path"]
    if listed and len(indexed) and not listed.intersection(indexed):
        raise UserError(
            f"{layout.folder} holds a run of other images: none of the {len(listed):,} images in "
            f"{data_location(config)} is among its {len(indexed):,}. Name the run otherwise "
            "(`runs` in the config), or remove its folder."
        )


def added_lines(layout: RunLayout, config: Config) -> list[str]:
    """Return a line on what becomes of images that were added (`mprd add`)."""
    added = added_paths(layout.final)
    if not added:
        return []
    inside = len(places(added, sorted(_listed(config))))
    rest = len(added) - inside
    wait = (
        f", {many(rest, 'other waits', 'others wait')} for `mprd add {pasted(layout.folder)}`"
        if rest
        else ""
    )
    become = "becomes an image" if inside == 1 else "become images"
    return [f"  {many(inside, 'image')} that you added (mprd add) {become} of the run{wait}"]


def _has_results(plan: RunPlan, job: Job) -> bool:
    files = plan.freshness.jobs[job].writes
    there = plan.freshness.there
    return all(there(path) and plan.layout.folder in path.parents for path in files)


def _moved(plan: RunPlan) -> set[str]:
    """Return the shared stages whose results lie elsewhere than the run's links lead to."""
    return {stage for stage in _owners(plan) if not _links_are_right(plan, stage)}


def _owners(plan: RunPlan) -> dict[str, list[str]]:
    """Return the shared stages, each with the roles of its files."""
    return {
        one.name: [write.role for write in one.writes]
        for one in STAGES
        if is_shared(one.name) and one.exists(plan.config)
    }


def _links_are_right(plan: RunPlan, stage: str) -> bool:
    sources = plan.shared_sources()
    return all(
        not getattr(plan.layout, role).exists()
        or getattr(plan.layout, role).resolve() == sources[role].resolve()
        for role in _owners(plan)[stage]
    )


def _cause(plan: RunPlan, job: Job, reason: str) -> str:
    """Return what lies behind a reason; "": another job does."""
    if job[0] != "link":
        return reason if reason.startswith(CHANGED) else ""
    stage = next(name for name, roles in _owners(plan).items() if job[1] in roles)
    if stage not in _moved(plan):
        return ""
    try:
        before, now = load_config(plan.layout.config), plan.config
    except UserError:  # it is written anew
        return f"{CHANGED}the version of mprd, or {plan.layout.config} by hand"
    keys = differences(*({"settings": stage_settings(one, stage)} for one in (before, now)))
    if keys:
        return f"{CHANGED}{', '.join(keys)}"
    return _images(plan.layout, now) if stage == "index" else ""


def _listed_settings(layout: RunLayout) -> dict[str, Any]:
    """Return the settings that a run lists; none if another version, or a person, wrote no YAML."""
    try:
        return read_yaml(layout.config)
    except UserError:  # it is written anew
        return {}


def _images(layout: RunLayout, config: Config) -> str:
    """Return how many images there are and were, and which came, went and changed.

    Only images that are newer than the index are read.
    """
    listed, index = _listed(config), read_artifact(layout.index, INDEX, ("path", "sha256"))
    known = dict(zip(index["path"].tolist(), index["sha256"].tolist(), strict=True))
    root, made = Path(str(index.attributes["root"])), layout.index.stat().st_mtime
    newer = [one for one in known.keys() & listed if (root / one).stat().st_mtime > made]
    counts = {
        # Those that were left out as unreadable are there, but in no index.
        "added": len(listed - known.keys()) - int(index.attributes["num_skipped"]),
        "removed": len(known.keys() - listed),
        "changed": sum(sha256_file(root / one) != known[one] for one in newer),
    }
    said = [f"{count:,} {what}" for what, count in counts.items() if count > 0]
    if not said:  # the code that indexes them is recorded in no file
        return f"{CHANGED}the code of mprd, or the times of the images, whose contents are the same"
    what = ", ".join(said)
    return f"{CHANGED}the images: {len(listed):,} now, {len(known):,} in the results ({what})"


def _listed(config: Config) -> set[str]:
    """Return the paths of the images that a config names now."""
    if config.data.reader is not None:
        load_reader(config.data.reader)
    listing = read_dataset(config.data.dataset, data_location(config))
    return {one.path for one in listing.records}
