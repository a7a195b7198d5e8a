"""The metrics of a run while it runs."""

import os
import shutil
import time
from contextlib import closing

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mprd.cli.follow import Follower, following, layout_of
from mprd.config import expand_runs
from mprd.errors import UserError
from mprd.pipeline.layout import RunLayout
from mprd.stages.table import collect


@pytest.fixture
def half(judged_run, tmp_path):
    """A run of two epochs, of which the second is not trained, and nothing is tabulated."""
    run = RunLayout(tmp_path / "half")
    shutil.copytree(judged_run.folder, run.folder)
    run.epoch(2).metrics.unlink()
    run.table.unlink(missing_ok=True)
    return run


def scalars(run):
    """Return tag -> step -> values."""
    events = EventAccumulator(str(run.events)).Reload()
    found = {}
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            found.setdefault(tag, {}).setdefault(event.step, []).append(event.value)
    return found


def test_the_table_grows_until_the_last_epoch(half, judged_run):
    with closing(Follower(half, epochs=2)) as follower:
        follower.look()
        assert pd.read_csv(half.table)["model"].tolist()[-1] == "1"
        written = half.table.stat().st_mtime_ns
        follower.look()
        assert half.table.stat().st_mtime_ns == written, "nothing new, nothing written"
        shutil.copy(judged_run.epoch(2).metrics, half.epoch(2).metrics)
        follower.look()
        assert half.table.stat().st_mtime_ns == written, "the workflow makes the last one"


def test_the_time_left_is_told_once(half, judged_run, capsys):
    """With the relation GCN, which is made before epoch 1 ends, by the second epoch."""
    half.config.write_text(half.config.read_text().replace("epochs: 2\n", "epochs: 12\n"))
    with closing(Follower(half, epochs=12)) as follower:
        now = time.time()
        for number, when in ((1, now + 1), (2, now + 61)):
            shutil.copy(judged_run.epoch(number).metrics, half.epoch(number).metrics)
            os.utime(half.epoch(number).metrics, (when, when))
            follower.look()
            told = number == 2
            assert ("10 minutes left for the other epochs" in capsys.readouterr().out) == told
        follower.look()
    assert "left" not in capsys.readouterr().out


def test_a_finished_run_has_no_time_left(judged_run, capsys):
    with closing(Follower(judged_run, epochs=2)) as follower:
        follower.look()
    assert "left" not in capsys.readouterr().out


def test_events_hold_every_figure_once(half, judged_run):
    with closing(Follower(half, epochs=2, tensorboard=True)) as follower:
        follower.look()
        shutil.copy(judged_run.epoch(2).metrics, half.epoch(2).metrics)
        follower.look()
    found = scalars(half)
    table = collect(half).set_index("model")
    for tag, steps in found.items():
        for step, values in steps.items():
            wanted = table.loc["init" if step == 0 else str(step), tag.split("/")[1]]
            assert values == pytest.approx([wanted], rel=1e-6)
    assert set(found["metrics/loss"]) == {1, 2}
    numbers = table.drop(index=[n for n in table.index if n != "init" and not n.isdecimal()])
    assert sum(map(len, found.values())) == numbers.notna().sum().sum()


def test_a_second_follower_begins_anew(half):
    for _ in range(2):
        with closing(Follower(half, epochs=2, tensorboard=True)) as follower:
            follower.look()
    assert all(len(values) == 1 for steps in scalars(half).values() for values in steps.values())


def test_a_run_without_an_epoch_is_waited_for(tmp_path):
    with closing(Follower(RunLayout(tmp_path), epochs=2)) as follower:
        follower.look()
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboard_there_is_a_sentence(half, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="pip install 'mprd"):
        Follower(half, epochs=2, tensorboard=True)


def test_a_file_that_a_stage_makes_again_is_looked_at_later(half, judged_run):
    """Snakemake removes what a job is about to write; the run goes on meanwhile."""
    values = {"results": str(half.folder.parent), "epochs": 2, "runs": {half.folder.name: {}}}
    (run,) = expand_runs(values, "half")
    assert layout_of(run) == half
    half.epoch(1).clusters.unlink()
    with following([run], tensorboard=False) as look:
        look()
        assert not half.table.exists()
        shutil.copy(judged_run.epoch(1).clusters, half.epoch(1).clusters)
        look()
        assert pd.read_csv(half.table)["model"].tolist()[-1] == "1"
