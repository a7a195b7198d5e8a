"""Times that say nothing run nothing; other contents do."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.artifacts.files import sha256_file
from mprd.pipeline.freshness import Freshness, JobFiles
from mprd.pipeline.layout import RunLayout
from tests.pipeline.small_run import (
    MADE,
    NEWEST,
    OLDEST,
    PLAN,
    below,
    files_of,
    fresh,
    jobs_in,
    make,
    maker,
    readers,
    unsettled,
)


@pytest.fixture
def run(tmp_path):
    return make(tmp_path / "run")


@pytest.fixture
def noted(run):
    fresh(run).note()
    return run


def test_a_finished_run_is_settled_by_its_times(run):
    assert unsettled(run) == set()
    fresh(run).note()
    assert unsettled(run) == set()


def test_without_a_note_times_decide(run):
    os.utime(run / "1/features", (NEWEST, NEWEST))
    assert unsettled(run) == below(("train", "001"))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_times_in_any_order_unsettle_nothing(data):
    with TemporaryDirectory() as folder:
        run = make(Path(folder) / "run")
        fresh(run).note()
        paths = files_of(run)
        times = st.lists(st.integers(0, NEWEST), min_size=len(paths), max_size=len(paths))
        for path, time in zip(paths, data.draw(times), strict=True):
            os.utime(path, (time, time))
        assert unsettled(run) == set()
        again = fresh(run)
        again.note()
        assert again.settled == set(PLAN)
        assert unsettled(run) == set(), "noted again"


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(MADE),
    newer=st.booleans(),
    order=st.none() | st.randoms(use_true_random=False),
)
def test_another_content_unsettles_what_follows(name, newer, order):
    """After other times, too: the contents were noted."""
    with TemporaryDirectory() as folder:
        run = make(Path(folder) / "run")
        fresh(run).note()
        if order:
            for path in files_of(run):
                time = order.randint(OLDEST + 1, NEWEST - 1)
                os.utime(path, (time, time))
        (run / name).write_text("another")
        os.utime(run / name, ((NEWEST if newer else OLDEST),) * 2)
        following = below(*readers(name))
        found = unsettled(run)
        if newer and not order:
            assert found == following, "as if it had been made anew"
        elif newer:
            assert following <= found <= below(maker(name))
        else:
            assert found == below(maker(name)) >= following


def test_the_same_content_written_again(noted):
    for name in MADE:
        (noted / name).write_text((noted / name).read_text())
    assert unsettled(noted) == set()


@pytest.mark.parametrize("name", MADE)
def test_a_missing_file(noted, name):
    (noted / name).unlink()
    assert unsettled(noted) == below(maker(name))
    found = fresh(noted)
    assert not found.done(maker(name), [noted / name])
    rest = set(PLAN) - below(maker(name))
    assert all(found.done(job, found.jobs[job].writes) for job in rest)


def test_an_unknown_job_is_not_done(noted):
    assert not fresh(noted).done(("judge", "001"), [noted / "1/features"])


def test_nothing_is_planned_for_a_job_whose_results_are_missing(run):
    def plan():
        raise AssertionError

    found = Freshness(RunLayout(run), plan, sha256_file)
    assert not found.done(("train", "003"), [run / "1/model", run / "3/model"])


def test_a_copy_without_times(noted, tmp_path):
    copy = tmp_path / "moved" / "elsewhere"
    shutil.copytree(noted, copy, copy_function=shutil.copyfile)
    shutil.rmtree(noted)
    assert unsettled(copy) == set()


def test_another_way_to_the_run(noted, tmp_path, monkeypatch):
    os.utime(noted / "1/features", (NEWEST, NEWEST))
    monkeypatch.chdir(noted.parent)
    assert unsettled(Path(noted.name)) == set()
    (tmp_path / "link").symlink_to(noted)
    assert unsettled(tmp_path / "link") == set()


def change_settings(folder: Path) -> dict:
    """The jobs of a run whose features have other settings; their provenance is written."""
    other = folder / "provenance/features-1.json"
    (folder / "provenance/features-0.json").unlink()
    other.write_text("other")
    os.utime(other, (NEWEST, NEWEST))
    return {
        job: replace(files, provenance=other) if job[0] == "features" else files
        for job, files in jobs_in(folder).items()
    }


def go_back(folder: Path) -> None:
    (folder / "provenance/features-1.json").unlink()
    (folder / "provenance/features-0.json").write_text("content")
    os.utime(folder / "provenance/features-0.json", (NEWEST + 9, NEWEST + 9))


def test_other_settings_and_back(noted):
    jobs = change_settings(noted)
    assert set(PLAN) - fresh(noted, jobs).settled == below(("features", "001"))
    fresh(noted, jobs).note()
    assert set(PLAN) - fresh(noted, jobs).settled == below(("features", "001")), "not done"
    go_back(noted)
    assert unsettled(noted) == set(), "nothing was made by the other settings"


def test_back_from_settings_that_made_something(noted):
    jobs = change_settings(noted)
    (noted / "2/features").write_text("by other settings")
    os.utime(noted / "2/features", (NEWEST + 1, NEWEST + 1))
    fresh(noted, jobs).note()
    go_back(noted)
    assert unsettled(noted) == below(("features", "002"))


def test_a_job_that_is_not_done_is_not_noted(run):
    os.utime(run / "1/features", (NEWEST, NEWEST))
    fresh(run).note()
    assert unsettled(run) == below(("train", "001"))


def test_an_unchanged_file_is_read_once(noted):
    seen = []

    def digest(path: Path) -> str:
        seen.append(path)
        return sha256_file(path)

    fresh(noted, digest=digest).note()
    assert seen == []
    os.utime(noted / "2/metrics", (NEWEST, NEWEST))
    found = fresh(noted, digest=digest)
    assert found.settled == set(PLAN)
    assert set(seen) == {noted / "2/metrics"}


def test_a_note_of_nothing_new_is_not_written(noted):
    path = noted / "provenance/contents.json"
    os.utime(path, (OLDEST, OLDEST))
    fresh(noted).note()
    assert path.stat().st_mtime == OLDEST


def test_what_was_noted_of_jobs_that_a_config_lacks_stays(noted):
    jobs = jobs_in(noted)
    fewer = {job: files for job, files in jobs.items() if job != ("table",)}
    os.utime(noted / "1/metrics", (NEWEST, NEWEST))
    fresh(noted, fewer).note()
    assert unsettled(noted) == set()


def test_a_link_is_as_new_as_the_later_of_link_and_file(tmp_path):
    target, link, made = tmp_path / "target", tmp_path / "link", tmp_path / "made"
    for path in (target, made):
        path.write_text("x")
    link.symlink_to(target)
    jobs = {("a",): JobFiles((link,), (made,))}
    os.utime(target, (OLDEST, OLDEST))
    os.utime(made, (2 * 10**9,) * 2)
    os.utime(link, (NEWEST, NEWEST), follow_symlinks=False)
    assert fresh(tmp_path, jobs).settled == set()
    os.utime(link, (OLDEST, OLDEST), follow_symlinks=False)
    assert fresh(tmp_path, jobs).settled == {("a",)}
    os.utime(target, (NEWEST, NEWEST))
    assert fresh(tmp_path, jobs).settled == set()
