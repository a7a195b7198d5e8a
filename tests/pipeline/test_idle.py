"""Settings that no run reads are told."""

from pathlib import Path

import pytest

from mprd.config import expand_runs, read_yaml, validate
from mprd.config.load import known_keys
from mprd.config.sections import Config
from mprd.pipeline.idle import READERS, idle_settings

ROOT = Path(__file__).parents[2]

# prefix: a setting below it, and what makes it read
CASES = {
    "cluster.gamma": ({"cluster": {"gamma": 0.3}}, {"cluster": {"method": "community"}}),
    "cluster.min_samples": (
        {"cluster": {"min_samples": 7, "method": "community"}},
        {"cluster": {"min_samples": 7, "method": "dbscan"}},
    ),
    "cluster.eps_gap": ({"cluster": {"eps_gap": 0.03}}, {"cluster": {"self_paced": True}}),
    "cluster.min_size": ({"cluster": {"min_size": 8}}, {"cluster": {"method": "community"}}),
    "data.synthetic": ({"data": {"synthetic": {"seed": 4}}}, {"data": {"dataset": "synthetic"}}),
    "gcn": (
        {"gcn": {"metadata": {"views": 9}}},
        {"use_gcn": True, "train": {"use_hsd": True}},
    ),
    "graph.min_recall": ({"graph": {"min_recall": 0.8}}, {"graph": {"backend": "ivf"}}),
    "init.warmup": ({"init": {"warmup": {"steps": 9}}}, {"init": {"method": "warmup"}}),
    "train.across_weight": ({"train": {"across_weight": 0.9}}, {"train": {"memory": "camera"}}),
    "train.hard_proxies": ({"train": {"hard_proxies": 9}}, {"train": {"memory": "camera"}}),
    "train.hsd_margin": ({"train": {"hsd_margin": 0.3}}, {"train": {"use_hsd": True}}),
    "train.hsd_mix": ({"train": {"hsd_mix": 0.3}}, {"train": {"use_hsd": True}}),
    "train.memory_update": (
        {"train": {"memory": "camera", "memory_update": "mean"}},
        {"train": {"memory": "camera", "use_hsd": True}},
    ),
    "train.ppa_mix": ({"train": {"ppa_mix": 0.3}}, {"train": {"use_ppa": True}}),
    "train.ppa_weight": ({"train": {"ppa_weight": 0.3}}, {"train": {"use_ppa": True}}),
}


def idle_keys(*configs):
    return {sentence.split(" ")[0] for sentence in idle_settings(configs)}


def test_every_reader_has_a_case():
    assert set(CASES) == set(READERS)
    assert set(READERS) <= set(known_keys(Config))


@pytest.mark.parametrize("prefix", CASES)
def test_an_idle_setting_is_told_until_a_run_reads_it(prefix):
    given, reader = CASES[prefix]
    idle = validate(given, "idle")
    assert any(key.startswith(prefix) for key in idle_keys(idle))
    assert not any(key.startswith(prefix) for key in idle_keys(idle, validate(reader, "reader")))


def test_defaults_are_not_told():
    assert idle_keys(Config()) == set()
    assert idle_keys(validate({"train": {"hsd_mix": Config().train.hsd_mix}}, "default")) == set()


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_no_shipped_config_has_one(path):
    assert idle_keys(*(run.config for run in expand_runs(read_yaml(path), str(path)))) == set()
