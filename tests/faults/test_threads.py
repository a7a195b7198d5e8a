"""The same bytes with one thread and with two, where that is promised; elsewhere, how near.

On a machine with a GPU: how near its results are to a CPU's.
"""

from contextlib import contextmanager

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from mprd.artifacts import read_json
from mprd.pipeline.layout import EpochLayout, RunLayout
from mprd.stages.cluster import run_cluster
from mprd.stages.features import run_features
from mprd.stages.graph import run_graph
from mprd.stages.index import run_index
from mprd.stages.pixels import run_pixels
from mprd.stages.train import run_train
from tests.stages.pipeline import arguments, changed, label, start


@contextmanager
def torch_threads(count: int):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def config(tiny_config):
    return changed(tiny_config, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def run(tmp_path_factory, config):
    """A run up to its first training."""
    folder = tmp_path_factory.mktemp("threads")
    start(folder, config)
    label(folder, 1, config)
    return RunLayout(folder)


def digest(path) -> str:
    with h5py.File(path) as file:
        return str(file.attrs["digest"])


def features(path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["features"][:]


@pytest.mark.parametrize("stage", ["index", "pixels", "graph", "cluster"])
def test_the_same_bytes_with_one_thread_and_two(run, config, tmp_path, stage):
    first = run.epoch(1)
    made = []
    for threads in (1, 2):
        out = tmp_path / f"{threads}.h5"
        with torch_threads(threads):
            if stage == "index":
                run_index(out=out, config=config, threads=threads)
            elif stage == "pixels":
                run_pixels(index=run.index, out=out, config=config, threads=threads)
            elif stage == "graph":
                files = {"features": first.features, "index": run.index}
                run_graph(**files, out=out, config=config, threads=threads)
            else:
                run_cluster(index=run.index, graph=first.graph, out=out, config=config)
        made.append(digest(out))
    assert made[0] == made[1]


def embedded(run, config, out) -> np.ndarray:
    files = {"index": run.index, "pixels": run.pixels, "model": run.initial_model}
    run_features(**files, out=out, config=config)
    return features(out)


def trained(run, config, folder) -> tuple[float, dict[str, np.ndarray]]:
    out = EpochLayout(folder)
    run_train(**arguments("train", run.folder, config, 1) | {"out": folder})
    loss = read_json(out.metrics, "mprd.metrics", "train")["step_loss"][0]
    return loss, load_file(out.model)


def test_the_network_is_the_same_with_one_thread_twice(run, config, tmp_path):
    with torch_threads(1):
        one, two = (trained(run, config, tmp_path / str(n)) for n in (1, 2))
    assert one[0] == two[0]
    assert all(np.array_equal(one[1][key], value) for key, value in two[1].items())


def test_the_network_differs_in_the_last_digits_with_two_threads(run, config, tmp_path):
    rows, losses = [], []
    for threads in (1, 2):
        with torch_threads(threads):
            rows.append(embedded(run, config, tmp_path / f"{threads}.h5"))
            losses.append(trained(run, config, tmp_path / str(threads))[0])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_agrees_with_a_cpu(run, config, tmp_path):
    gpu = changed(config, device="cuda")
    rows = [embedded(run, c, tmp_path / f"{c.device}.h5") for c in (config, gpu)]
    np.testing.assert_allclose(rows[0], rows[1], atol=2e-3)  # convolutions in TF32
    loss, _ = trained(run, config, tmp_path / "cpu")
    assert trained(run, gpu, tmp_path / "gpu")[0] == pytest.approx(loss, rel=2e-2)
    first = run.epoch(1)
    made = []
    for backend in ("faiss", "torch"):
        out = tmp_path / f"{backend}.h5"
        exact = changed(gpu, graph={"backend": backend})
        run_graph(features=first.features, index=run.index, out=out, config=exact)
        with h5py.File(out) as file:
            made.append({key: file[key][:] for key in file})
    for key, values in made[0].items():
        np.testing.assert_array_equal(values, made[1][key])  # exact, wherever they are found
