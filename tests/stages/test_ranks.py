"""Stage `ranks`: searched once, and read by all that the GCN does in an epoch."""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from mprd.artifacts import FEATURES, INDEX, RANKS, read_artifact
from mprd.errors import UserError
from mprd.gcn.camera_frame import CameraFrame
from mprd.gcn.camera_ranks import LEVELS, camera_profile
from mprd.pipeline.inputs import epoch_inputs, judge_inputs
from mprd.pipeline.layout import RunLayout
from mprd.stages.features import run_features
from mprd.stages.judge import run_judge
from mprd.stages.pairs import run_pairs
from mprd.stages.ranks import run_ranks
from mprd.stages.train import run_train
from tests.artifacts.edit import edit, put
from tests.stages.pipeline import changed, label, pretrain, start
from tests.stages.test_gcn_stages import GCN
from tests.stages.test_judged import JUDGED

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
    expected = camera_profile(centred, centred, frame.cameras, 0)
    assert ranks["cosine"].shape == (54, 3, len(LEVELS))
    np.testing.assert_allclose(ranks["cosine"], expected, atol=1e-5)
    assert ranks.attributes["recall"] == 1
    assert ranks.inputs["features"] == features.digest


@pytest.mark.parametrize("stage", ["pretrain", "judge", "train"])
def test_a_stage_reads_them(stage, copy, config):
    """The ranks of other images give another result."""
    here = copy.epoch(1)
    out = {"pretrain": copy.initial_gcn, "judge": here.judgements, "train": here.relations}[stage]

    def make() -> bytes:
        if stage == "pretrain":
            pretrain(copy.folder, config)
        elif stage == "judge":
            run_judge(judge_inputs(copy, 1, config), out=out, config=config)
        else:
            run_train(epoch_inputs(copy, 1, config), out=here, epoch=1, config=config)
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
        inputs = judge_inputs(copy, 1, settings)
        assert (inputs.ranks is None) == (settings is plain)
        run_judge(inputs, out=tmp_path / "j.h5", config=settings)
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
    with pytest.raises(UserError, match=r"holds ranks \(54, 2, 14\), \(54, 3, 14\) are needed"):
        run_judge(judge_inputs(copy, 1, config), out=tmp_path / "j.h5", config=config)
    again = {"index": copy.index, "features": here.features, "out": here.ranks}
    run_ranks(**again, config=config)
    run_features(
        index=copy.index,
        pixels=copy.pixels,
        model=copy.initial_model,
        out=tmp_path / "others.h5",
        config=config,
        splits=("query",),
    )
    run_ranks(**(again | {"features": tmp_path / "others.h5"}), config=config)
    with pytest.raises(UserError, match=r"ranks\.h5 was made from another .*mprd ranks"):
        run_judge(judge_inputs(copy, 1, config), out=tmp_path / "j.h5", config=config)


def test_ranks_without_the_gcn_are_refused(copy, config):
    off = changed(config, use_gcn=False, cluster={"relation": "jaccard"})
    inputs = replace(epoch_inputs(copy, 1, off), ranks=copy.epoch(1).ranks)
    with pytest.raises(UserError, match="--ranks goes with use_gcn: true"):
        run_train(inputs, out=copy.epoch(1), epoch=1, config=off)
