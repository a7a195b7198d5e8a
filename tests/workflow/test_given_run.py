"""A run with the features of another network: from `mprd new` to a change of the file."""

import subprocess

import numpy as np
import pandas as pd
import yaml
from PIL import Image

import mprd
from tests.stage_server import python
from tests.workflow.runs import planned, snakemake


def test_a_run_with_given_features(tmp_path):
    rng = np.random.default_rng(0)
    person, camera = np.arange(30) % 6, np.arange(30) // 15
    features = rng.normal(size=(6, 16))[person] + 0.3 * rng.normal(size=(30, 16))
    features = (features + rng.normal(size=(2, 16))[camera]).astype(np.float32)
    np.save(tmp_path / "f.npy", features)
    for number in range(30):
        path = tmp_path / f"crops/cam_{'ab'[camera[number]]}/{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 20, 3)).astype(np.uint8)).save(path)
    command = [python(), "-m", "mprd.cli", "new", "crops", "--features", "f.npy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "features in f.npy: 30 images, 16 dimensions" in done.stdout
    (tmp_path / "crops.yaml").rename(tmp_path / "config.yaml")
    assert "epochs" not in yaml.safe_load((tmp_path / "config.yaml").read_text())
    printed = snakemake(tmp_path)
    run = tmp_path / "results/crops"
    made = {path.name for path in run.rglob("*") if path.is_file()}
    assert {"clusters.csv", "embeddings.h5", "report.html", "metrics.csv", "pixels.h5"} <= made
    assert not {name for name in made if name.startswith(("model", "init", "train"))}
    assert "agreement" in printed, "the table is printed at the end"
    found = pd.read_csv(run / "final/clusters.csv")
    assert found["path"].tolist() == sorted(found["path"])
    expected = mprd.cluster_features(features, cameras=camera)
    np.testing.assert_array_equal(found["cluster"], expected.labels)
    assert found["cluster"].nunique() >= 5
    assert "Nothing to be done" in snakemake(tmp_path)
    np.save(tmp_path / "f.npy", features[::-1])
    jobs = set(planned(tmp_path)) - {"everything"}
    assert jobs == {"features", "graph", "cluster", "export_given", "table", "report"}
