"""Settings that no run reads are told."""

from pathlib import Path

import pytest

from mprd.config import expand_runs, merge, read_yaml, validate
from mprd.config.load import known_keys
from mprd.config.sections import Config
from mprd.pipeline.idle import _EVERYTHING, _OF_THE_WORKFLOW, _SWITCHES, idle_settings
from mprd.pipeline.stage import Setting
from mprd.pipeline.stages import STAGES

ROOT = Path(__file__).parents[2]
USES_GCN = {"use_gcn": True, "train": {"use_hsd": True}}

# prefix: a setting below it, what makes it read, and how that is told
CASES = {
    "cluster.gamma": (
        {"cluster": {"gamma": 0.3}},
        {"cluster": {"method": "community"}},
        "cluster.method: community",
    ),
    "cluster.min_samples": (
        {"cluster": {"min_samples": 7, "method": "community"}},
        {"cluster": {"min_samples": 7, "method": "dbscan"}},
        "cluster.method: dbscan",
    ),
    "cluster.eps_gap": (
        {"cluster": {"eps_gap": 0.03}},
        {"cluster": {"self_paced": True}},
        "cluster.self_paced",
    ),
    "cluster.min_size": (
        {"cluster": {"min_size": 8}},
        {"cluster": {"method": "community"}},
        "cluster.method: community or linkage",
    ),
    "cluster.eps": (
        {"cluster": {"eps": 0.55, "method": "linkage"}, "graph": {"eps_max": 0.9}},
        {"cluster": {"eps": 0.55}},
        "cluster.method: dbscan or community",
    ),
    "cluster.threshold": (
        {"cluster": {"threshold": 0.7}},
        {"cluster": {"method": "linkage"}, "graph": {"eps_max": 0.9}},
        "cluster.method: linkage",
    ),
    "time": ({"time": {"weight": 0.2}}, {"use_time": True}, "use_time"),
    "evaluate.time": (
        {"evaluate": {"time": True}},
        {"use_time": True, "evaluate": {"time": True}},
        "use_time, evaluate.time",
    ),
    "data.synthetic": (
        {"data": {"synthetic": {"seed": 4}}},
        {"data": {"dataset": "synthetic"}},
        "data.dataset: synthetic",
    ),
    "data.time_format": (
        {"data": {"time": "exif", "time_format": "seconds"}},
        {"data": {"time": "t(.+)"}},
        "data.time: a pattern",
    ),
    "gcn": ({"gcn": {"metadata": {"views": 9}}}, USES_GCN, "use_gcn"),
    "gcn.learn": ({"gcn": {"learn": False}}, USES_GCN, "use_gcn"),
    "gcn.update": (
        USES_GCN | {"gcn": {"learn": False, "update": {"metadata": 3}}},
        USES_GCN,
        "use_gcn, gcn.learn",
    ),
    "graph.min_recall": (
        {"graph": {"min_recall": 0.8}},
        {"graph": {"backend": "ivf"}},
        "graph.backend: ivf",
    ),
    "init.warmup": (
        {"init": {"warmup": {"steps": 9}}},
        {"init": {"method": "warmup"}},
        "init.method: warmup",
    ),
    "train.across_weight": (
        {"train": {"across_weight": 0.9}},
        {"train": {"memory": "camera"}},
        "train.memory: camera",
    ),
    "train.hard_proxies": (
        {"train": {"hard_proxies": 9}},
        {"train": {"memory": "camera"}},
        "train.memory: camera",
    ),
    "train.online_weight": (
        {"train": {"online_weight": 0.5}},
        {"train": {"memory": "camera"}},
        "train.memory: camera",
    ),
    "train.hsd_margin": (
        {"train": {"hsd_margin": 0.3}},
        {"train": {"use_hsd": True}},
        "train.use_hsd",
    ),
    "train.hsd_mix": ({"train": {"hsd_mix": 0.3}}, {"train": {"use_hsd": True}}, "train.use_hsd"),
    "train.memory_update": (
        {"train": {"memory": "camera", "memory_update": "mean"}},
        {"train": {"memory": "camera", "use_hsd": True}},
        "train.memory: cluster",
    ),
    **{
        key: ({"data": {"features": "f.npy"}} | given, {}, "a network, data.features: null")
        for key, given in {
            "seed": {"seed": 3},
            "precision": {"precision": "float32"},
            "model": {"model": {"backbone": "mini"}},
            "init": {"init": {"method": "random"}},
            "augment": {"augment": {"pad": 3}},
            "train": {"train": {"iters": 3}},
            "evaluate.flip": {"evaluate": {"flip": True}},
            "evaluate.rerank": {"evaluate": {"rerank": True}},
        }.items()
    },
    "train.ppa_mix": ({"train": {"ppa_mix": 0.3}}, {"train": {"use_ppa": True}}, "train.use_ppa"),
    "train.ppa_weight": (
        {"train": {"ppa_weight": 0.3}},
        {"train": {"use_ppa": True}},
        "train.use_ppa",
    ),
}
# A piece of the user's own may read any setting of its section.
OWN_LOSS = {"train": {"extra_losses": {"mine": 1.0}}}
OWN_MEMORY = {"train": {"memory": "mine"}}
OWN_CLUSTERING = {"cluster": {"method": "mine"}}


def idle_keys(*configs):
    return {sentence.split(" ")[0] for sentence in idle_settings(configs)}


def fields_within(keys):
    """Settings that keys stand for: themselves, or all below a section."""
    known = known_keys(Config)
    sections = {key for key in known if any(k.startswith(f"{key}.") for k in known)}
    return {
        field
        for field in set(known) - sections
        if any(field == key or field.startswith(f"{key}.") for key in keys)
    }


def test_every_setting_that_is_read_only_sometimes_has_a_case():
    always, sometimes = set(), set(_SWITCHES)
    for stage in STAGES:
        for entry in stage.settings if stage.name != _EVERYTHING else ():
            unconditional = isinstance(entry, str) or entry.when is None
            keys = entry.keys if isinstance(entry, Setting) else (entry,)
            (always if unconditional and stage.when is None else sometimes).update(keys)
    always |= _OF_THE_WORKFLOW
    assert fields_within(always) | fields_within(sometimes) == fields_within(known_keys(Config))
    assert fields_within(CASES) == fields_within(sometimes) - fields_within(always)
    assert set(CASES) <= set(known_keys(Config))
    assert fields_within(_OF_THE_WORKFLOW) & fields_within(_SWITCHES) == set()


@pytest.mark.parametrize("prefix", CASES)
def test_an_idle_setting_is_told_until_a_run_reads_it(prefix):
    given, reader, needs = CASES[prefix]
    idle = validate(given, "idle")
    told = [one for one in idle_settings([idle]) if one.startswith(prefix)]
    assert told
    assert all(one.endswith(f" has no effect: no run reads it (it needs {needs})") for one in told)
    assert not any(key.startswith(prefix) for key in idle_keys(idle, validate(reader, "reader")))


@pytest.mark.parametrize("prefix", [key for key in CASES if key.startswith(("train.", "cluster."))])
def test_a_setting_that_an_own_piece_may_read_is_not_told(prefix):
    given, _, _ = CASES[prefix]
    pieces = [OWN_LOSS, OWN_MEMORY] if prefix.startswith("train.") else [OWN_CLUSTERING]
    for own in pieces:
        config = validate(merge(given, own), "own")
        assert not any(key.startswith(prefix) for key in idle_keys(config))


@pytest.mark.parametrize("key", ["cluster.min_samples", "gcn.unlabelled.source"])
def test_strict_pairs_read_the_density(key):
    strict = {
        "cluster": {"method": "community", "min_samples": 7},
        "gcn": {"unlabelled": {"source": "strict"}},
    }
    assert key in idle_keys(validate(strict, "x"))
    assert key not in idle_keys(validate(merge(strict, USES_GCN), "x"))


def test_a_page_of_all_settings_is_no_use_of_them():
    assert idle_keys(validate({"gcn": {"batch": 8}}, "x")) == {"gcn.batch"}
    assert idle_keys(validate({"export": {"numbers": "c.csv"}, "epochs": 3}, "x")) == set()


@pytest.mark.parametrize(("first", "told"), [(2, []), (3, [3]), (9, [3])])
def test_a_mean_of_weights_that_never_begins(first, told):
    config = validate({"epochs": 3, "train": {"average_from": first}}, "x")
    found = [one for one in idle_settings([config]) if "average_from" in one]
    assert [int(one.rsplit(" ", 1)[1]) for one in found] == told
    longer = validate({"epochs": 10, "train": {"average_from": first}}, "x")
    assert idle_settings([config, longer]) == []


def test_defaults_are_not_told():
    assert idle_keys(Config()) == set()
    assert idle_keys(validate({"train": {"hsd_mix": Config().train.hsd_mix}}, "default")) == set()


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_no_shipped_config_has_one(path):
    assert idle_keys(*(run.config for run in expand_runs(read_yaml(path), str(path)))) == set()
