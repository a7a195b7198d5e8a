"""Epoch 1 says how long training takes, from its own steps."""

import re

import pytest

from mprd.training import pace
from tests.stages.pipeline import changed, label, start, train


@pytest.mark.parametrize("times", [True, False])
def test_the_first_epoch_tells_the_time_of_all(tmp_path, tiny_config, monkeypatch, capsys, times):
    monkeypatch.setattr(pace, "_SECONDS", 0.0 if times else 1000.0)
    config = changed(tiny_config, epochs=50, train={"iters": 6})
    start(tmp_path, config)
    for epoch in (1, 2):
        label(tmp_path, epoch, config)
        capsys.readouterr()
        train(tmp_path, epoch, config)
        said = capsys.readouterr().out
        told = re.search(
            r"epoch 1: a step takes [\d.e-]+ s, so 50 epochs take about \d+ \w+\n", said
        )
        assert bool(told) == (times and epoch == 1), said
