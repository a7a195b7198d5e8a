"""Images come to a folder that has results: what is done again, and people keep their numbers."""

import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from mprd.cli.redo import redone, require_same_images
from mprd.config import expand_runs
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog
from mprd.pipeline.layout import RunLayout
from tests.stage_server import environment, python

PEOPLE, DIM = 6, 16


def shoot(folder, names):
    """Add crops by name, `<person>-<shot>`, with features of another network for all of them."""
    rng = np.random.default_rng(1)
    centers = rng.normal(size=(PEOPLE, DIM))
    for name in names:
        pixels = rng.integers(0, 255, (40, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"crops/{name}.png")
    found = sorted(path.name for path in (folder / "crops").iterdir())
    features = [
        centers[int(name[0])] + 0.2 * np.random.default_rng(list(name.encode())).normal(size=DIM)
        for name in found
    ]
    np.save(folder / "f.npy", np.array(features, np.float32))


def run(folder, config="crops.yaml"):
    command = [python(), "-m", "mprd.cli", "run", config]
    variables = {**os.environ, **environment()}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)


def finish(folder):
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(table):
    found = pd.read_csv(table)
    return dict(zip(found["path"], found["cluster"], strict=True))


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("added")
    (folder / "crops").mkdir()
    data = {"dataset": "folder", "root": "crops", "features": "f.npy", "height": 32, "width": 16}
    values = {"epochs": 0, "device": "cpu", "runs": {"crops": {}}, "data": data}
    values |= {"graph": {"k1": 6, "k2": 2, "eps_max": 0.97}, "cluster": {"method": "linkage"}}
    (folder / "crops.yaml").write_text(yaml.safe_dump(values))
    return folder


def test_the_clusters_of_old_people_keep_their_numbers(crops):
    old = [f"{person}-{shot}" for person in range(1, PEOPLE) for shot in range(8)]
    shoot(crops, old)
    printed = finish(crops)
    assert "makes again" not in printed
    assert "keep their numbers" not in printed
    table = crops / "results/crops/final/clusters.csv"
    first, before = table.read_bytes(), numbers(table)
    assert len(set(before.values())) == PEOPLE - 1
    # Person 0 comes first in the listing, and so would in the numbers.
    shoot(crops, [f"0-{shot}" for shot in range(10)] + [f"{p}-{s}" for p in (2, 4) for s in "ab"])
    printed = finish(crops)
    line = next(line for line in printed.splitlines() if "makes again" in line)
    assert "changed: the images: 54 now, 40 in the results (14 added)" in line
    assert "crops: makes again index, pixels, features, graph, cluster, export, table," in line
    assert "the clusters keep their numbers of results/crops/final/clusters.csv" in printed
    assert "5 of 6 clusters keep their numbers" in printed
    after = numbers(table)
    assert {path: after[path] for path in before} == before
    assert {after[f"0-{shot}.png"] for shot in range(10)} == {PEOPLE - 1}
    kept = table.with_name("clusters.1.csv")
    assert kept.read_bytes() == first
    assert f"the clusters before are in {kept.relative_to(crops)}" in printed
    printed = finish(crops)
    assert "makes again" not in printed
    assert "Nothing to do" in printed
    assert not table.with_name("clusters.2.csv").exists()


def test_what_became_of_the_images_is_told(crops, cli, monkeypatch):
    monkeypatch.chdir(crops)

    def why():
        code, out, err = cli("status", "results/crops", "--stale", "crops.yaml", "--json")
        assert code == 0, err
        stale = json.loads(out)["stale"]
        assert "final/clusters.csv" not in stale or len(set(stale.values())) > 1
        return stale.get("results/crops/index.h5")

    assert why() is None
    gone, other = crops / "crops/1-0.png", crops / "crops/1-1.png"
    content, place, times = other.read_bytes(), crops / "elsewhere.png", other.stat()
    gone.rename(place)
    later = time.time() + 5
    Image.new("RGB", (20, 40)).save(other)
    os.utime(other, (later, later))
    Image.new("RGB", (20, 40)).save(crops / "crops/new.png")
    words = "changed: the images: 54 now, 54 in the results (1 added, 1 removed, 1 changed)"
    assert why() == words
    (crops / "crops/new.png").unlink()
    place.rename(gone)
    other.write_bytes(content)
    os.utime(other, (later, later))
    assert why().endswith("or the times of the images, whose contents are the same")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert why() is None


def test_a_changed_setting_is_named(crops, monkeypatch):
    monkeypatch.chdir(crops)
    values = yaml.safe_load((crops / "crops.yaml").read_text())
    assert redone(expand_runs(values, "")[0]) == []
    log = DecisionLog(RunLayout(Path("results/crops")).decisions)
    assert redone(expand_runs(values, "")[0]) == [], "nothing was decided"
    log.append(Decision(Kind.SAME, ("1-0.png",), ("2-0.png",)))
    line = redone(expand_runs(values, "")[0])[0]
    assert line == "crops: makes again cluster, export, table, report (changed: decisions.csv)"
    log.path.unlink()
    values["cluster"]["min_size"] = 3
    (line, numbers) = redone(expand_runs(values, "")[0])
    assert line.startswith("crops: makes again cluster, export, table, report (changed: ")
    assert "cluster.min_size" in line
    assert "keep their numbers" in numbers
    values["data"]["height"] = 48
    line = redone(expand_runs(values, "")[0])[0]
    assert "makes again pixels, cluster, " in line
    assert "changed: data.height" in line
    (crops / "results/crops/final/clusters.csv").unlink()
    assert len(redone(expand_runs(values, "")[0])) == 1, "there are no numbers to keep"


def test_another_folder_does_not_take_the_place_of_a_run(crops, monkeypatch):
    monkeypatch.chdir(crops)
    values = yaml.safe_load((crops / "crops.yaml").read_text())
    require_same_images(expand_runs(values, "")[0])
    (crops / "moved").symlink_to(crops / "crops")
    values["data"]["root"] = "moved"
    require_same_images(expand_runs(values, "")[0])
    (crops / "others").mkdir()
    for name in "ab":
        Image.new("RGB", (20, 40)).save(crops / f"others/{name}.png")
    values["data"]["root"] = "others"
    (crops / "others.yaml").write_text(yaml.safe_dump(values))
    table = (crops / "results/crops/metrics.csv").read_bytes()
    done = run(crops, "others.yaml")
    assert done.returncode == 2
    assert "holds a run of other images: none of the 2 images in others is among its" in done.stderr
    assert (crops / "results/crops/metrics.csv").read_bytes() == table
