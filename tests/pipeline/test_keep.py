"""`keep: last`: what a finished run lets go, and that nothing is made again for it."""

import json
import os
from pathlib import Path

import pytest

from mprd.pipeline.keep import let_go, passing_files
from mprd.pipeline.stale import stale_jobs
from tests.pipeline.test_stale import LABELS, TRAINED, epoch, finish, plan_of
from tests.stages.pipeline import GCN, JUDGED, changed

EPOCHS = 4
GONE = {name for number in (2, 3) for name in epoch(number, "features.h5", "graph.h5")}
GONE |= {name for number in (1, 3) for name in epoch(number, "model.safetensors", "state.pt")}
GONE |= epoch(2, "state.pt")


def names(paths, plan):
    return {str(path.relative_to(plan.layout.folder)) for path in paths}


@pytest.fixture
def config(tiny_config):
    return changed(tiny_config, keep="last", epochs=EPOCHS, evaluate={"every": 2})


@pytest.fixture
def folder(config, tmp_path):
    finish(plan_of(config, tmp_path))
    return tmp_path


@pytest.fixture
def thin(config, folder):
    """The folder of a run that has let go what it can."""
    let_go(plan_of(config, folder))
    return folder


def test_what_goes(config, folder):
    """Epoch 1 keeps what training begins with, epoch 2 the model that is evaluated."""
    plan = plan_of(config, folder)
    assert names(passing_files(plan), plan) == GONE
    before = names(folder.rglob("tiny/**/*.*"), plan)
    let_go(plan)
    assert names(folder.rglob("tiny/**/*.*"), plan) == before - GONE
    last = epoch(EPOCHS, *LABELS, *TRAINED)
    assert last <= before - GONE


def test_nothing_is_made_again(config, thin):
    plan = plan_of(config, thin)
    assert stale_jobs(plan) == {}
    assert plan.freshness.settled == set(plan.freshness.jobs)
    missing = {path for path in plan.results() if not path.is_file()}
    assert missing == {plan.layout.config}, "the settings are written by another rule"
    assert all(plan.done(*job) for job in plan._block(1, EPOCHS))


def test_a_later_note_forgets_nothing(config, thin):
    before = (thin / "tiny/provenance/contents.json").read_text()
    plan = plan_of(config, thin)
    plan.freshness.note()
    let_go(plan)
    assert (thin / "tiny/provenance/contents.json").read_text() == before
    (thin / "tiny/report.html").write_text("new")
    os.utime(thin / "tiny/report.html", (3 * 10**9,) * 2)
    plan = plan_of(config, thin)
    plan.freshness.note()
    assert (thin / "tiny/provenance/contents.json").read_text() != before
    assert plan_of(config, thin).freshness.removed(plan.layout.epoch(1).model)


def test_a_change_makes_all_that_follows(config, thin):
    other = changed(config, train={"lr": 0.5})
    stale = {"/".join(job) for job in stale_jobs(plan_of(other, thin))}
    assert {"train/001", "features/002", "train/003"} <= stale
    assert stale.isdisjoint({"features/001", "graph/001", "cluster/001"})
    assert stale_jobs(plan_of(config, thin)) == {}


def test_what_ends_a_run_needs_no_earlier_epoch(config, thin):
    """More epochs go on with the last one, and other evaluations find the models they measure."""
    longer = stale_jobs(plan_of(changed(config, epochs=EPOCHS + 2), thin))
    assert not {job for job in longer if job[1].isdecimal() and int(job[1]) < EPOCHS}
    flipped = stale_jobs(plan_of(changed(config, evaluate={"flip": True}), thin))
    assert {job[0] for job in flipped} == {"evaluate", "table", "report"}
    assert all(
        path.is_file()
        for job in flipped
        for path in plan_of(config, thin).freshness.jobs[job].reads
    )


def test_another_content_of_what_stays(config, thin):
    """A file that goes was made from the file that was there."""
    (thin / "tiny/epochs/001/clusters.h5").write_text("other")
    stale = {"/".join(job) for job in stale_jobs(plan_of(config, thin))}
    assert {"train/001", "features/002", "train/003", "train/004"} <= stale


def test_without_the_note_all_is_made_again(config, thin):
    (thin / "tiny/provenance/contents.json").unlink()
    stale = {"/".join(job) for job in stale_jobs(plan_of(config, thin))}
    assert {"train/001", "train/004", "export/final"} <= stale


def test_only_a_run_that_is_done_lets_go(config, folder):
    (folder / "tiny/final/clusters.csv").unlink()
    let_go(plan_of(config, folder))
    assert (folder / "tiny/epochs/001/state.pt").is_file()


def test_a_run_keeps_all_where_it_is_told(config, folder):
    let_go(plan_of(changed(config, keep="all"), folder))
    assert (folder / "tiny/epochs/001/state.pt").is_file()


def test_a_kill_between_note_and_removal(config, folder, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    plan = plan_of(config, folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            let_go(plan)
    assert json.loads((folder / "tiny/provenance/contents.json").read_text())["removed"]
    assert stale_jobs(plan_of(config, folder)) == {}
    (folder / "tiny/epochs/003/state.pt").write_text("other")
    assert ("train", "004") in stale_jobs(plan_of(config, folder)), "a file that is there counts"
    (folder / "tiny/epochs/003/state.pt").write_text("tiny/epochs/003/state.pt")
    let_go(plan_of(config, folder))
    assert not (folder / "tiny/epochs/003/state.pt").exists()


def test_the_relation_gcn_keeps_what_it_is_pretrained_on(tiny_config, tmp_path):
    config = changed(changed(tiny_config, **GCN), keep="last", cluster=JUDGED)
    plan = plan_of(config, tmp_path)
    gone = names(passing_files(plan), plan)
    assert epoch(1, "gcn.safetensors", "relations.h5", "state.pt") <= gone
    kept = {"features.h5", "graph.h5", "clusters_by_distance.h5", "clusters.h5", "judgements.h5"}
    assert gone.isdisjoint(epoch(1, *kept))


def test_a_run_without_training_keeps_all(tiny_config, tmp_path):
    assert passing_files(plan_of(changed(tiny_config, keep="last", epochs=0), tmp_path)) == []
