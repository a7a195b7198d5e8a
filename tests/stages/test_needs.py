"""What a batch system is told of each stage; against the stages themselves in tests/workflow."""

import json

import pytest
from typer.testing import CliRunner

from mprd.cli.app import app
from mprd.config import dump_yaml
from mprd.pipeline.stages import stage
from mprd.stages.needs import stage_needs
from tests.stages.pipeline import changed

GIB = 2**30


@pytest.fixture(scope="module")
def index(judged_run):
    return judged_run.index


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (
            {"data": {"height": 256, "width": 128}},
            {"init", "features", "train", "evaluate", "export"},
        ),
        ({"train": {"iters": 4000}}, {"train"}),
        ({"init": {"warmup": {"steps": 9000}}}, {"init"}),
        ({"evaluate": {"flip": True}}, {"evaluate"}),
    ],
)
def test_more_work_takes_longer(index, tiny_config, change, stages):
    before = stage_needs(index, tiny_config)
    after = stage_needs(index, changed(tiny_config, **change))
    longer = {name for name in before if after[name].seconds > before[name].seconds + 1e-9}
    assert longer - {"epoch"} == stages
    assert ("epoch" in longer) == bool(stages & {"features", "train"})
    assert all(need.gpu_seconds <= need.seconds for need in after.values())


def test_large_batches_take_memory(index, tiny_config):
    large = {"data": {"height": 256, "width": 128}, "train": {"identities": 64, "instances": 16}}
    before, after = (
        stage_needs(index, tiny_config),
        stage_needs(index, changed(tiny_config, **large)),
    )
    assert after["train"].memory > before["train"].memory + GIB
    assert 0 < after["epoch"].memory - after["train"].memory < GIB // 8, "what stays in memory"
    assert min(need.memory for need in before.values()) >= GIB


def test_stages_are_those_of_the_config(index, tiny_config):
    plain = {
        "pixels",
        "init",
        "features",
        "graph",
        "cluster",
        "train",
        "evaluate",
        "export",
        "epoch",
    }
    assert set(stage_needs(index, tiny_config)) == plain
    judged = {
        "use_gcn": True,
        "graph": {"k1": 12},
        "cluster": {"relation": "judged", "method": "community"},
    }
    found = set(stage_needs(index, changed(tiny_config, **judged)))
    relations = {"metadata", "pretrain", "draft", "judge", "learn"}
    assert found == plain | relations
    judged["graph"]["backend"] = "ivf"
    found = set(stage_needs(index, changed(tiny_config, **judged)))
    assert found == plain | relations | {"ranks"}


def test_processes_take_memory_each(index, tiny_config):
    batch = {"model": {"bn_group_size": 4}, "train": {"identities": 4, "instances": 4}}
    alone = stage_needs(index, changed(tiny_config, **batch))
    shared = stage_needs(index, changed(tiny_config, **batch, processes=2))
    several = {name for name in shared.keys() - {"epoch"} if stage(name).shared}
    assert several == {"init", "features", "train", "evaluate", "export"}
    for name in shared.keys() - {"epoch"}:
        times = 2 if name in several else 1
        assert shared[name].memory == times * alone[name].memory, name
    steps = ("features", "graph", "cluster", "train")
    assert 0 < shared["epoch"].memory - max(shared[name].memory for name in steps) < GIB // 8


def test_what_stays_in_memory_is_counted_beside_each_stage(index, tiny_config, monkeypatch):
    """Images, beside stages that do not count them themselves, and files, up to a limit."""
    wide = {"data": {"height": 256, "width": 128}, "graph": {"search_memory_mb": 8000}}
    size = 54 * 3 * 256 * 128
    found = stage_needs(index, changed(tiny_config, **wide))
    assert found["graph"].memory > found["train"].memory, "the largest"
    beside = found["epoch"].memory - found["graph"].memory
    assert size < beside < size + GIB // 32
    many = stage_needs(index, changed(tiny_config, **wide, epochs_per_job=10))
    assert many["epoch"].memory > found["epoch"].memory
    monkeypatch.setattr("mprd.stages.needs.HELD_BYTES", 0)
    assert stage_needs(index, changed(tiny_config, **wide))["epoch"].memory < found["epoch"].memory


def test_the_command(index, tiny_config, tmp_path):
    (tmp_path / "c.yaml").write_text(dump_yaml(tiny_config))
    line = ["needs", "--config", str(tmp_path / "c.yaml"), "--index", str(index)]
    text = CliRunner().invoke(app, line, catch_exceptions=False).output
    assert text.splitlines()[0].split() == ["stage", "GiB", "minutes", "with", "a", "GPU"]
    found = json.loads(CliRunner().invoke(app, [*line, "--json"], catch_exceptions=False).output)
    expected = stage_needs(index, tiny_config)
    assert found["train"]["memory"] == expected["train"].memory
    assert len(text.splitlines()) == 1 + len(found)
