"""Stage `ranks`: searched once, and read by all that the GCN does in an epoch."""

import shutil

import h5py
import numpy as np
import pytest
import torch

from mprd.artifacts import FEATURES, GRAPH, INDEX, RANKS, read_artifact
from mprd.clustering.graph_matrix import graph_distance
from mprd.clustering.tracks import TrackGroups
from mprd.errors import UserError
from mprd.gcn.camera_frame import CameraFrame
from mprd.gcn.camera_ranks import LEVELS, own_profile
from mprd.gcn.context import RelationContext
from mprd.pipeline.layout import RunLayout
from mprd.stages.features import run_features
from mprd.stages.judge import run_judge
from mprd.stages.learn import run_learn
from mprd.stages.pairs import run_pairs
from mprd.stages.pretrain import run_pretrain
from mprd.stages.ranks import run_ranks
from mprd.stages.train import run_train
from tests.artifacts.edit import edit, put
from tests.stages.pipeline import GCN, JUDGED, arguments, changed, label, start

NOBODY = np.full((54, 3, len(LEVELS)), -2, np.float32)


@pytest.fixture(scope="module")
def config(tiny_config):
    more = {"cluster": JUDGED, "graph": {"backend": "ivf", "min_recall": 1.0}}
    return changed(changed(tiny_config, **GCN), **more)


@pytest.fixture(scope="module")
def run(tmp_path_factory, config):
    """Epoch 1 up to its training."""
    folder = tmp_path_factory.mktemp("ranks")
    start(folder, config)
    label(folder, 1, config)
    return folder


@pytest.fixture
def copy(run, tmp_path):
    return RunLayout(shutil.copytree(run, tmp_path / "run"))


def test_they_are_the_ranks_of_all_comparisons(run):
    layout = RunLayout(run)
    here = layout.epoch(1)
    features, ranks = read_artifact(here.features, FEATURES), read_artifact(here.ranks, RANKS)
    memory = torch.from_numpy(features["features"])
    cameras = read_artifact(layout.index, INDEX)["camera"][features["row"]]
    frame = CameraFrame.of_images(memory, cameras)
    centred = frame.centred(memory, frame.cameras)
    expected = own_profile(centred, frame.cameras, TrackGroups.of_tracks(np.full(54, -1)))
    assert ranks["cosine"].shape == (54, 3, len(LEVELS))
    np.testing.assert_allclose(ranks["cosine"], expected, atol=1e-5)
    assert ranks.attributes["recall"] == 1
    assert ranks.inputs["features"] == features.digest


def test_a_track_counts_once(copy, config, tmp_path):
    """All three ways to the ranks: searched, compared in a stage, compared for views."""
    here, index = copy.epoch(1), read_artifact(copy.index, INDEX)
    features = read_artifact(here.features, FEATURES)
    tracks = np.full(len(index["track"]), -1, index["track"].dtype)
    tracks[features["row"]] = np.arange(54) // 3
    edit(copy.index, put("track", tracks))
    run_ranks(index=copy.index, features=here.features, out=tmp_path / "r.h5", config=config)
    memory = torch.from_numpy(features["features"])
    groups = TrackGroups.of_tracks(tracks[features["row"]])
    cameras = index["camera"][features["row"]]
    graph = read_artifact(here.graph, GRAPH)
    context = RelationContext.of_graph(
        memory=memory,
        neighbors=graph["neighbors"],
        distance=graph_distance(graph),
        cameras=cameras,
        star=3,
        tracks=groups,
    )
    found = read_artifact(tmp_path / "r.h5", RANKS)["cosine"]
    np.testing.assert_allclose(found, context.profile, atol=1e-5)
    assert ((found > -2).sum(axis=(1, 2)) < 54 // 3).all(), "never more than there are tracks"
    views = context.extended(memory[:5], torch.arange(5))
    seen = context.frame.centred(memory, context.frame.cameras)[::3]
    nearest = (context.frame.centred(memory[:5], context.frame.cameras[:5]) @ seen.T).max(dim=1)
    np.testing.assert_allclose(views.profile[54:, :, 0].amax(dim=1), nearest.values, atol=1e-5)


@pytest.mark.parametrize("stage", [run_pretrain, run_judge, run_train, run_learn])
def test_a_stage_reads_them(stage, copy, config):
    """The ranks of other images give another result."""
    here = copy.epoch(1)
    out = {
        run_pretrain: copy.initial_gcn,
        run_judge: here.judgements,
        run_train: here.relations,
        run_learn: here.gcn,
    }[stage]
    if stage is run_learn:
        run_train(**arguments("train", copy.folder, config, 1))

    def make() -> bytes:
        name = stage.__name__.removeprefix("run_")
        stage(**arguments(name, copy.folder, config, None if name == "pretrain" else 1))
        if out.suffix == ".safetensors":
            return out.read_bytes()
        with h5py.File(out) as file:
            return b"".join(file[key][()].tobytes() for key in sorted(file))

    before = make()
    assert make() == before
    edit(here.ranks, put("cosine", read_artifact(here.ranks, RANKS)["cosine"][::-1]))
    assert make() != before


def test_without_them_all_images_are_compared(copy, config, tmp_path):
    """The same words, since a search with full recall is exact."""
    plain = changed(config, graph={"backend": "faiss"})
    found = []
    for settings in (config, plain):
        files = arguments("judge", copy.folder, settings, 1)
        assert ("ranks" not in files) == (settings is plain)
        run_judge(**files | {"out": tmp_path / "j.h5"})
        with h5py.File(tmp_path / "j.h5") as file:
            found.append(file["probability"][:])
    np.testing.assert_allclose(*found, atol=1e-4)


def test_pairs_to_judge_use_them(copy, tmp_path):
    run_pairs(run=copy.folder, out=tmp_path / "one.csv", count=10)
    edit(copy.epoch(1).ranks, put("cosine", NOBODY))
    run_pairs(run=copy.folder, out=tmp_path / "other.csv", count=10)
    assert (tmp_path / "one.csv").read_text() != (tmp_path / "other.csv").read_text()


def test_ranks_of_others_are_refused(copy, config, tmp_path):
    here = copy.epoch(1)
    edit(here.ranks, put("cosine", NOBODY[:, :2]))
    files = arguments("judge", copy.folder, config, 1) | {"out": tmp_path / "j.h5"}
    with pytest.raises(UserError, match=r"holds ranks \(54, 2, 14\), \(54, 3, 14\) are needed"):
        run_judge(**files)
    again = {"index": copy.index, "features": here.features, "out": here.ranks}
    run_ranks(**again, config=config)
    run_features(
        index=copy.index,
        pixels=copy.pixels,
        model=copy.initial_model,
        out=tmp_path / "others.h5",
        config=config,
        split="query",
    )
    run_ranks(**(again | {"features": tmp_path / "others.h5"}), config=config)
    with pytest.raises(UserError, match=r"ranks\.h5 was made from another .*mprd ranks"):
        run_judge(**files)


def test_ranks_without_the_gcn_are_refused(copy, config):
    off = changed(config, use_gcn=False, cluster={"relation": "jaccard"})
    files = arguments("train", copy.folder, off, 1) | {"ranks": copy.epoch(1).ranks}
    with pytest.raises(UserError, match="--ranks goes with use_gcn"):
        run_train(**files)
