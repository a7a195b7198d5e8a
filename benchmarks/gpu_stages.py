"""Rows of gpu.py about stages: features, graph, an epoch, the GCN, CUDA beside the CPU.

A stage is timed by the clock, the device's work included; the first call is told apart.
"""

import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
from common import Row
from fabricate import write_features
from gpu_setup import ROOT, Bench, StageTime, before_each_step, seconds, stage_seconds, stage_times

from mprd.artifacts import FEATURES, GRAPH, JUDGEMENTS, read_artifact
from mprd.config import Config, dump_yaml
from mprd.data.pixels import PixelStore
from mprd.graph.neighbors import knn
from mprd.inference.embed import embed_store
from mprd.models.weights import load_network
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout
from mprd.stages.run_stage import make_pseudo_labels, run_epochs, run_stage

# The goals, on a quiet card.
EPOCH_SECONDS, STAGE_SECONDS, ORCHESTRATION = 7, {"features": 0.8, "graph": 0.8}, 0.10
PRETRAIN_SECONDS, LEARN_SECONDS, PAIRS_A_SECOND, DIFFERENCE = 5, 2, 100_000, 1e-3
GCN = {"use_gcn": True, "train": {"use_hsd": True, "use_ppa": True}}
NEAREST = 10


def features(bench: Bench) -> list[Row]:
    """Time the stage `features`, and the pass through the network in it."""
    run, config = bench.start, bench.config()
    out = bench.work / "features.h5"
    first, whole = stage_seconds(bench, "features", run, config, step=FIRST_EPOCH, out=out)
    network = load_network(run.initial_model, config.precision)[0].to(bench.device)
    store = PixelStore(run.pixels, np.arange(bench.images), bench.device)
    _, passed = seconds(bench, lambda: embed_store(network, store, bench.device))
    return [
        Row(
            "features, whole stage by itself",
            _images(bench, config),
            f"{whole:.2f} s",
            detail=f"pass through the network {passed:.2f} s; the first time {first:.1f} s",
        )
    ]


def graph(bench: Bench) -> list[Row]:
    """Time the stage `graph` on features of look-alikes, and the search in it."""
    run, config = bench.run("graph"), bench.config()
    write_features(run.folder, load_network(run.initial_model)[0].dim)
    first, whole = stage_seconds(bench, "graph", run, config, step=FIRST_EPOCH)
    vectors = read_artifact(run.epoch(FIRST_EPOCH).features, FEATURES)["features"]
    settings = config.graph
    width = min(len(vectors), settings.k1 + 1)
    _, search = seconds(bench, lambda: knn(vectors, width, settings.backend))
    return [
        Row(
            "graph, whole stage by itself",
            f"{_images(bench, config)}, D={vectors.shape[1]}",
            f"{whole:.2f} s",
            detail=f"search {search:.2f} s; the first time {first:.1f} s",
        )
    ]


def epoch(bench: Bench) -> list[Row]:
    """Time an epoch in one process, its stages, and a process that does one."""
    run, config = bench.run("epoch"), bench.config(epochs=4)
    make_pseudo_labels(run, FIRST_EPOCH, config)
    run_epochs(run.folder, first=1, last=1, config=config)
    marks: list[float] = []
    with stage_times() as found, before_each_step(lambda _: marks.append(time.perf_counter())):
        run_epochs(run.folder, first=2, last=3, config=config)
        ended = time.perf_counter()
    last = _last_epoch(found)
    steady = ended - found[-len(last) - 1].end
    handover = steady - sum(stage.seconds for stage in last)
    iters = config.train.iters
    stepped = (marks[-1] - marks[-iters]) * iters / (iters - 1)
    start = _process(run, config, epoch=4) - steady
    jobs = 50 / config.epochs_per_job
    aside = jobs * start + 50 * handover
    share = aside / (jobs * start + 50 * steady)
    size = f"{_images(bench, config)}, {iters} steps, B={_batch(config)}"
    return [
        *(
            Row(
                f"stage {stage.name} in an epoch",
                size,
                f"{stage.seconds:.2f} s",
                f"{STAGE_SECONDS[stage.name]} s",
                None if bench.tiny else stage.seconds <= STAGE_SECONDS[stage.name],
            )
            for stage in last
            if stage.name in STAGE_SECONDS
        ),
        Row(
            "epoch in one process",
            size,
            f"{steady:.1f} s",
            f"{EPOCH_SECONDS} s",
            None if bench.tiny else steady <= EPOCH_SECONDS,
            f"steps {stepped:.1f} s; "
            + ", ".join(f"{stage.name} {stage.seconds:.2f} s" for stage in last),
        ),
        Row(
            f"orchestration of 50 epochs, {config.epochs_per_job} a process",
            size,
            f"{share:.0%}",
            f"{ORCHESTRATION:.0%}",
            None if bench.tiny else share <= ORCHESTRATION,
            f"start of a process {start:.1f} s, between the stages {handover:.2f} s an epoch",
        ),
    ]


def _last_epoch(found: list[StageTime]) -> list[StageTime]:
    """Return the stages after the last training but one."""
    ends = [place for place, stage in enumerate(found) if stage.name == "train"]
    return found[ends[-2] + 1 :]


def _process(run: RunLayout, config: Config, epoch: int) -> float:
    """Return the seconds of a process that does one epoch."""
    settings = run.folder / "settings.yaml"
    settings.write_text(dump_yaml(config), encoding="utf-8")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    words = [sys.executable, "-m", "mprd.cli", "epochs", "--run", str(run.folder), "--first",
             str(epoch), "--last", str(epoch), "--config", str(settings)]  # fmt: skip
    start = time.perf_counter()
    done = subprocess.run(
        words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return time.perf_counter() - start


def relations(bench: Bench) -> list[Row]:
    """Time what the relation GCN does in a run."""
    run, config = bench.run("relations"), _gcn_config(bench)
    write_features(run.folder, load_network(run.initial_model)[0].dim)
    with stage_times() as found:
        _relate(run, config)
        for name in ("train", "learn", "learn"):
            run_stage(name, run, config, step=FIRST_EPOCH)
        _judge(run, config)
    # The last one of each name counts: `judge` and `learn` are warm.
    taken = {stage.name: stage.seconds for stage in found}
    stored = read_artifact(run.epoch(FIRST_EPOCH).graph, GRAPH, ("indptr", "indices"))
    pairs = _pairs(stored["indptr"], stored["indices"])
    rate = pairs / taken["judge"]
    size = f"{_images(bench, config)}, widths {config.gcn.hidden} {config.gcn.conv}"
    rows = []
    for name, limit in (("pretrain", PRETRAIN_SECONDS), ("learn", LEARN_SECONDS)):
        tasks = config.gcn.pretrain if name == "pretrain" else config.gcn.update
        detail = ", ".join(f"{count} {kind}" for kind, count in tasks.model_dump().items())
        rows.append(
            Row(
                f"relation GCN, stage {name}",
                size,
                f"{taken[name]:.1f} s",
                f"{limit} s",
                None if bench.tiny else taken[name] <= limit,
                f"tasks: {detail}",
            )
        )
    others = ", ".join(f"{name} {taken[name]:.1f} s" for name in ("graph", "cluster", "metadata"))
    rows.append(
        Row(
            "relation GCN, stage judge",
            size,
            f"{rate:,.0f} pairs/s",
            f"{PAIRS_A_SECOND:,} pairs/s",
            None if bench.tiny else rate >= PAIRS_A_SECOND,
            f"{pairs:,} pairs in {taken['judge']:.1f} s; {others}",
        )
    )
    return rows


def agreement(bench: Bench) -> list[Row]:
    """Compare embeddings, neighbours and judgements of the device with those of the CPU."""
    run, config = bench.fabricated("few", bench.few_images), bench.config()
    found = {
        (device, precision): _embed(bench, run, device, precision)
        for device, precision in (
            ("cpu", "float32"), (str(bench.device), "float32"), (str(bench.device), "bfloat16"),
        )
    }  # fmt: skip
    expected = found["cpu", "float32"]
    near = knn(expected, NEAREST + 1, config.graph.backend)[1][:, 1:]
    size = f"{bench.few_images:,} images, {'ImageNet' if bench.has_weights else 'random'} weights"
    rows = []
    for precision in ("float32", "bfloat16"):
        vectors = found[str(bench.device), precision]
        ours = knn(vectors, NEAREST + 1, config.graph.backend)[1][:, 1:]
        shared = np.mean([len(np.intersect1d(a, b)) for a, b in zip(near, ours, strict=True)])
        cosine = (expected * vectors).sum(axis=1)
        rows.append(
            Row(
                f"embeddings on {bench.device.type} beside the CPU's, {precision}",
                size,
                f"{shared / NEAREST:.1%} of the {NEAREST} neighbours equal",
                detail=f"smallest cosine {cosine.min():.5f}",
            )
        )
    difference = _judgements(bench, run)
    rows.append(
        Row(
            f"relation GCN on {bench.device.type} beside the CPU",
            size,
            f"largest difference {difference:.0e}",
            f"{DIFFERENCE:g}",
            difference <= DIFFERENCE,
        )
    )
    return rows


def _embed(bench: Bench, run: RunLayout, device: str, precision: str) -> np.ndarray:
    out = bench.work / f"{device}-{precision}.h5"
    config = bench.config(device=device, precision=precision)
    run_stage("features", run, config, step=FIRST_EPOCH, out=out)
    return read_artifact(out, FEATURES)["features"]


def _judgements(bench: Bench, run: RunLayout) -> float:
    """Return the largest difference of a probability."""
    write_features(run.folder, load_network(run.initial_model)[0].dim)
    few = {"pretrain": {"metadata": 5, "unlabelled": 5}}
    _relate(run, _gcn_config(bench, gcn=few))
    answers = []
    for device in (str(bench.device), "cpu"):
        out = bench.work / f"{device}-judgements.h5"
        config = _gcn_config(bench, gcn=few, device=device)
        _judge(run, config, out=out)
        answers.append(read_artifact(out, JUDGEMENTS)["probability"])
    return float(np.abs(answers[0] - answers[1]).max())


def _relate(run: RunLayout, config: Config) -> None:
    """Do the stages from given features to judgements."""
    for name in ("graph", "cluster"):
        run_stage(name, run, config, step=FIRST_EPOCH)
    for name in ("metadata", "pretrain"):
        run_stage(name, run, config)
    _judge(run, config)


def _judge(run: RunLayout, config: Config, **options: Any) -> None:
    """Judge the stored pairs; what the clusters come from does not matter here."""
    clusters = run.epoch(FIRST_EPOCH).clusters
    options = {"provisional_clusters": clusters} | options
    run_stage("judge", run, config, step=FIRST_EPOCH, **options)


def _gcn_config(bench: Bench, **changes: object) -> Config:
    few = {"train": GCN["train"] | {"iters": 4 if bench.tiny else 20}}
    return bench.config(**(GCN | few | changes))


def _pairs(indptr: np.ndarray, indices: np.ndarray) -> int:
    """Return the number of pairs that a symmetric matrix stores, the diagonal left out."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return int((rows < indices).sum())


def _batch(config: Config) -> int:
    return config.train.identities * config.train.instances


def _images(bench: Bench, config: Config) -> str:
    return f"{bench.images:,} images of {config.data.height}x{config.data.width}"
