"""A run with a network and without epochs: the clusters of its start, and all that follows."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from mprd.artifacts import CLUSTERS, FEATURES, read_artifact
from mprd.cli.app import app
from mprd.config import validate
from mprd.errors import UserError
from mprd.judging.audit_session import audit_session
from mprd.judging.questions import questions
from mprd.pipeline.idle import idle_settings
from tests.stages.pipeline import changed, finish, label, start


def call(*args: object) -> str:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False).output


@pytest.fixture(scope="module")
def untrained(tiny_config, tmp_path_factory):
    return finish(tmp_path_factory.mktemp("untrained") / "run", changed(tiny_config, epochs=0))


def test_its_clusters_are_those_that_epoch_1_would_train_on(untrained, tiny_config, tmp_path):
    start(tmp_path, tiny_config)
    label(tmp_path, 1, tiny_config)
    trained = read_artifact(tmp_path / "epochs/001/clusters.h5", CLUSTERS)
    found = read_artifact(untrained.final.clusters, CLUSTERS)
    np.testing.assert_array_equal(found["labels"], trained["labels"])
    assert not (untrained.folder / "epochs").exists()


def test_its_model_is_the_start(untrained):
    features = read_artifact(untrained.final.features, FEATURES)
    embeddings = read_artifact(untrained.final.embeddings, FEATURES)
    np.testing.assert_array_equal(
        embeddings["features"][: len(features["row"])], features["features"]
    )
    assert untrained.final.model.is_file()


def test_tables_report_and_status(untrained):
    table = pd.read_csv(untrained.table)
    assert table["model"].tolist() == ["init"]
    assert table[["clusters", "mAP"]].notna().all().all()
    call("report", untrained.folder)
    page = untrained.report.read_text()
    assert "Figures without labels" in page
    assert 'id="retrieval"' in page
    assert 'id="training"' not in page
    said = call("status", untrained.folder)
    assert "clusters of the start, no training" in said
    assert "finished" in said


def test_it_is_searched_assigned_judged_and_audited(untrained, tmp_path):
    new = np.random.default_rng(0).integers(0, 255, (32, 16, 3)).astype(np.uint8)
    (tmp_path / "new").mkdir()
    Image.fromarray(new).save(tmp_path / "new/a.png")
    model, gallery = untrained.final.model, untrained.final.embeddings
    said = call("search", tmp_path / "new/a.png", "--model", model, "--gallery", gallery)
    assert ".jpg" in said
    call("assign", tmp_path / "new", "--run", untrained.folder, "--out", tmp_path / "o.csv")
    assert len(pd.read_csv(tmp_path / "o.csv")) == 1
    assert isinstance(questions(untrained.folder, 5), list)
    assert audit_session(untrained.folder, 20).current is not None


def test_settings_of_the_training_have_no_effect(tiny_config):
    said = idle_settings([changed(tiny_config, epochs=0)])
    assert any(one.startswith("train.iters has no effect") for one in said)
    assert all("epochs above 0" in one for one in said if one.startswith(("train.", "augment.")))


def test_a_relation_gcn_wants_epochs():
    with pytest.raises(UserError, match="use_gcn learns from the epochs, and epochs is 0"):
        validate({"epochs": 0, "use_gcn": True, "train": {"use_hsd": True}}, "x")
