"""The device that was asked for is the one that everything uses."""

import builtins

import numpy as np
import pandas as pd
import pytest
import torch

import mprd
from mprd.artifacts import FEATURES, GRAPH, RANKINGS, read_artifact
from mprd.clustering.audit import audit_pairs
from mprd.clustering.from_features import features_config
from mprd.errors import UserError
from mprd.stages.run_stage import run_stage
from mprd.system import group
from mprd.system.gpu import gpu_number
from mprd.system.torch_setup import select_device
from tests.cards import Cards, two_cards
from tests.stages.pipeline import changed


@pytest.fixture
def cards(monkeypatch):
    two_cards(monkeypatch)
    with Cards() as found:
        yield found


def unit(count, dim=8, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_names_and_numbers(monkeypatch):
    assert gpu_number("cpu") is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_number("auto") is None
    assert select_device("auto") == torch.device("cpu")
    two_cards(monkeypatch)
    assert [gpu_number(name) for name in ("cpu", "auto", "cuda", "cuda:1")] == [None, 0, 0, 1]
    for name, said in (("cuda:2", "torch sees 2 CUDA devices"), ("gpu", "must be auto, cpu, cuda")):
        with pytest.raises(UserError, match=said):
            gpu_number(name)


def test_no_other_card_is_opened(monkeypatch):
    """Pinned memory and compiled kernels use the current card."""
    two_cards(monkeypatch)
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for name in ("cpu", "cuda", "cuda:1"):
        select_device(name)
    assert chosen == [torch.device("cuda:1")]


def test_torch_is_not_loaded_for_the_cpu(monkeypatch):
    """It takes 2 s; a search with faiss needs none of it."""
    load = builtins.__import__

    def refuse(name, *args, **kwargs):
        assert name.partition(".")[0] != "torch"
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr("mprd.system.gpu._driver_found", lambda: True)
    mprd.knn(unit(20), 3, device="cpu")
    mprd.approximate_knn(unit(20), 3)
    mprd.knn(unit(20), 3, "faiss")


def test_the_network_and_the_search_use_one_card(judged_run, tiny_config, tmp_path, cards):
    for device in ("cuda:1", "cpu"):
        config = changed(tiny_config, device=device, evaluate={"rerank": True})
        out = tmp_path / device
        out.mkdir()
        steps = {
            "features": {"out": out / "features.h5"},
            "graph": {"out": out / "graph.h5"},
            "evaluate": {"out": out / "e.json", "rankings": out / "rankings.h5"},
            "export": {"out": out / "final"},
        }
        for name, files in steps.items():
            step = {"evaluate": "001", "export": "final"}.get(name, 1)
            cards.asked.clear()
            run_stage(name, judged_run, config, step=step, **files)
            assert cards.gpus == ({"cuda:1"} if device != "cpu" else set()), name
    for name, schema in (("features", FEATURES), ("graph", GRAPH), ("rankings", RANKINGS)):
        found = [read_artifact(tmp_path / d / f"{name}.h5", schema) for d in ("cuda:1", "cpu")]
        for key, values in found[0].arrays.items():
            np.testing.assert_allclose(values, found[1][key], atol=1e-5, err_msg=f"{name} {key}")


def test_functions_use_the_card_that_is_named(cards):
    features = unit(1600)
    labels = np.repeat(np.arange(800), 2)
    config = features_config()
    calls = {
        "knn": lambda device: mprd.knn(features, 5, device=device),
        "rerank": lambda device: mprd.rerank(features[:20], features[20:200], device=device),
        "audit": lambda device: audit_pairs(labels, features, device=device),
        "clusters": lambda device: mprd.cluster_features(
            features[:300], config.model_copy(update={"device": device})
        ),
    }
    for name, call in calls.items():
        for device, used in (("cpu", set()), ("cuda:1", {"cuda:1"}), ("auto", {"cuda"})):
            cards.asked.clear()
            call(device)
            assert cards.gpus == used, (name, device)


def test_commands_use_the_device_that_is_named(judged_run, market, tmp_path, cards, cli):
    crops = market / "market1501/Market-1501-v15.09.15/query"
    model = judged_run.final.model
    np.save(tmp_path / "f.npy", unit(60))
    out = ["--out", tmp_path / "out.csv"]
    commands = (
        ["embed", crops, "--model", model, "--out", tmp_path / "out.npy"],
        ["search", crops, "--model", model, "--gallery", crops],
        ["assign", crops, "--run", judged_run.folder, *out],
        ["cluster-features", tmp_path / "f.npy", *out],
    )
    for words in commands:
        for device, used in (("cpu", set()), ("cuda:1", {"cuda:1"})):
            cards.asked.clear()
            assert cli(*words, "--device", device)[0] == 0
            assert cards.gpus == used, words
        code, _, said = cli(*words, "--device", "cuda:7")
        assert (code, "torch sees 2 CUDA devices" in said) == (2, True)
    assert len(pd.read_csv(tmp_path / "out.csv")) == 60


def test_each_process_of_a_group_has_its_own_card(monkeypatch):
    two_cards(monkeypatch)
    for name, value in ((group.WORKER, "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert gpu_number("auto") == 1
    assert select_device("cuda") == torch.device("cuda:1")
