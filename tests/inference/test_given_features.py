"""Features of another network: which row belongs to which image, and a whole run with them."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

import mprd
from mprd.artifacts import CLUSTERS, FEATURES, read_artifact
from mprd.cli.app import app
from mprd.config import validate
from mprd.errors import UserError
from mprd.inference.feature_files import matched_features
from tests.stages.pipeline import finish_given

NAMES = ["a/1.jpg", "a/2.jpg", "b/1.jpg"]


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.fixture
def places(tmp_path):
    return [tmp_path / name for name in NAMES]


def test_rows_without_paths_go_by_order(tmp_path, rows, places):
    np.save(tmp_path / "f.npy", 3 * rows)
    np.testing.assert_allclose(matched_features(tmp_path / "f.npy", NAMES, places), unit(rows))
    save_file({"features": rows}, tmp_path / "f.safetensors")
    found = matched_features(tmp_path / "f.safetensors", NAMES, places)
    np.testing.assert_allclose(found, unit(rows), rtol=1e-6)
    with pytest.raises(UserError, match=r"has 3 rows and no paths, for 2 images.*f\.txt"):
        matched_features(tmp_path / "f.npy", NAMES[:2], places[:2])


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("kind", ["npy", "safetensors", "h5"])
def test_rows_with_paths_go_by_them(kind, absolute, tmp_path, rows, places):
    order = [2, 0, 1]
    paths = [str(places[n]) if absolute else NAMES[n] for n in order]
    file = tmp_path / f"f.{kind}"
    if kind == "h5":
        with h5py.File(file, "w") as stored:
            stored["features"], stored["path"] = rows[order], paths
    elif kind == "npy":
        np.save(file, rows[order])
    else:
        save_file({"features": rows[order]}, file)
    if kind != "h5":
        (tmp_path / "f.txt").write_text("\n".join(paths) + "\n")
    np.testing.assert_allclose(matched_features(file, NAMES, places), unit(rows), rtol=1e-6)


def test_missing_and_other_paths_are_named(tmp_path, rows, places, capsys):
    file, paths = tmp_path / "f.npy", tmp_path / "f.txt"
    np.save(file, rows)
    paths.write_text("a/1.jpg\nx/9.jpg\na/2.jpg\n")
    with pytest.raises(UserError, match=r"no row for 1 of 3 images, such as 'b/1\.jpg', and 1 row"):
        matched_features(file, NAMES, places)
    found = matched_features(file, NAMES[:2], places[:2])
    np.testing.assert_allclose(found, unit(rows[[0, 2]]), rtol=1e-6)
    assert "left out of" in (said := capsys.readouterr().err)
    assert "'x/9.jpg'" in said
    paths.write_text("a/1.jpg\na/1.jpg\na/2.jpg\n")
    with pytest.raises(UserError, match=r"two rows for 'a/1\.jpg'"):
        matched_features(file, NAMES, places)
    paths.write_text("a/1.jpg\n")
    with pytest.raises(UserError, match=r"f\.txt has 1 path for 3 rows"):
        matched_features(file, NAMES, places)
    paths.write_bytes(b"\xff\n")
    with pytest.raises(UserError, match="no text file of paths"):
        matched_features(file, NAMES, places)


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_rows_without_a_direction_are_refused(value, tmp_path, rows, places):
    rows[1] = value
    np.save(tmp_path / "f.npy", rows)
    with pytest.raises(UserError, match=r"Row 1 of .*f\.npy is zero, NaN or infinite"):
        matched_features(tmp_path / "f.npy", NAMES, places)
    np.save(tmp_path / "f.npy", np.ones((3, 2), int))
    with pytest.raises(UserError, match="must be floats"):
        matched_features(tmp_path / "f.npy", NAMES, places)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 5}, "epochs is 5, but a run with data.features has no network to train"),
        ({"use_gcn": True, "train": {"use_hsd": True}}, "use_gcn needs a network"),
    ],
)
def test_what_needs_a_network_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        validate({"data": {"features": "f.npy"}} | values, "x")


def test_a_run_without_features_trains():
    assert validate({"data": {"features": "f.npy"}}, "x").epochs == 0
    assert validate({}, "x").epochs > 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory, market):
    """A run of the stages on images with labels and cameras, and the features it was given."""
    folder = tmp_path_factory.mktemp("given")
    root = market / "market1501/Market-1501-v15.09.15/bounding_box_train"
    images = mprd.image_paths(root)
    person = np.array([int(path.name[:4]) for path in images])
    rng = np.random.default_rng(1)
    features = unit(rng.normal(size=(10, 16))[person] + 0.2 * rng.normal(size=(len(images), 16)))
    np.save(folder / "f.npy", features)
    run, config = finish_given(
        folder,
        {
            "data": {"dataset": "folder", "root": str(root), "camera": r"_c(\d)s"},
            "graph": {"k1": 8, "k2": 2, "eps_max": 0.97},
            "cluster": {"method": "linkage", "threshold": 0.75, "min_size": 2},
        },
    )
    return run, config, features, person


def call(*args: object) -> str:
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    return done.output if done.exception is None else str(done.exception)


def test_clusters_are_those_of_the_features(finished):
    run, config, features, person = finished
    clusters = read_artifact(run.final.clusters, CLUSTERS)
    expected = mprd.cluster_features(features, config)
    np.testing.assert_array_equal(clusters["labels"], expected.labels)
    np.testing.assert_array_equal(clusters["labels"], np.unique(person, return_inverse=True)[1])
    stored = read_artifact(run.final.embeddings, FEATURES)
    np.testing.assert_allclose(stored["features"], features, rtol=1e-6)
    assert "file" in stored.inputs
    assert not run.final.model.exists()


def test_tables_report_and_status(finished):
    run, *_ = finished
    assert "clusters" in call("table", run.folder)
    table = pd.read_csv(run.table)
    assert table["model"].tolist() == ["features"]
    assert table["clusters"].tolist() == [6]
    call("report", run.folder)
    page = run.report.read_text()
    assert "Figures without labels" in page
    assert 'id="training"' not in page
    said = call("status", run.folder)
    assert "clusters of data.features" in said
    assert "finished" in said
    assert "clusters" in call("recluster", run.folder, "--threshold", "0.3")
    needs = call("needs", "--config", run.config, "--index", run.index)
    assert "graph" in needs
    assert "train" not in needs


def test_new_features_are_assigned(finished, tmp_path):
    run, _, features, _ = finished
    np.save(tmp_path / "new.npy", features[::-1])
    known = read_artifact(run.final.clusters, CLUSTERS)["labels"]
    call("assign", "--run", run.folder, "--features", tmp_path / "new.npy", "--out", tmp_path / "o")
    found = pd.read_csv(tmp_path / "o")
    assert found["path"].tolist()[:2] == ["row 0", "row 1"]
    cluster = found["cluster"].to_numpy()
    taken = cluster >= 0
    np.testing.assert_array_equal(cluster[taken], known[::-1][taken])
    assert taken.sum() >= 0.9 * (known >= 0).sum(), "only unlike members are left out"
    shown = ["--features", tmp_path / "new.npy", "--html", tmp_path / "new.html"]
    said = call("assign", "--run", run.folder, *shown)
    assert "--html shows the images: name those of --features, too" in said
    with pytest.raises(UserError, match="no model of its own"):
        mprd_assign(run, [tmp_path])
    np.save(tmp_path / "other.npy", features[:, :5])
    with pytest.raises(UserError, match=r"of 5 dimensions, .* of 16: two networks"):
        mprd_assign(run, [], features=tmp_path / "other.npy")


def mprd_assign(run, images, **options):
    from mprd.inference.assign import assign_images

    return assign_images(run.folder, images, **options).table


def test_features_of_named_images_go_by_their_order(finished, tmp_path):
    run, config, features, _ = finished
    first = mprd.image_paths(config.data.root)[:3]
    for number, path in enumerate(first):
        shutil.copy(path, tmp_path / f"{number}.jpg")
    np.save(tmp_path / "new.npy", features[:3])
    found = mprd_assign(run, [tmp_path], features=tmp_path / "new.npy")
    assert found["path"].tolist() == [str(tmp_path / f"{number}.jpg") for number in range(3)]


def test_search_by_features(finished, tmp_path):
    run, config, features, _ = finished
    np.save(tmp_path / "q.npy", features[:2])
    given = ["--features", tmp_path / "q.npy", "-k", 1, "--json"]
    said = call("search", "--gallery", run.final.embeddings, *given)
    images = mprd.image_paths(config.data.root)
    assert '"row 0"' in said
    assert str(images[0].resolve()) in said
    assert '"path": "row 1"' in call("search", "--gallery", tmp_path / "q.npy", *given)
    assert "is a folder of images" in call("search", "--gallery", config.data.root, *given)
    assert "name those of --features" in call(
        "search", "--gallery", tmp_path / "q.npy", *given, "--html", tmp_path / "p.html"
    )
    asked = ["search", images[0], "--gallery", config.data.root]
    assert "no model of its own" in call(*asked, "--model", run.final.model)
    assert "Name images and the --model" in call(*asked)
    assert "takes the place of a model" in call(*asked, "--model", run.final.model, *given)
    assert "leave --skip-unreadable out" in call(*asked, *given, "--skip-unreadable")
