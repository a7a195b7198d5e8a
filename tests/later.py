"""A finished run of crops from two cameras, and crops of known people and of strangers."""

import shutil

import numpy as np
import pytest
from PIL import Image

from mprd.config import merge, validate
from mprd.pipeline.layout import RunLayout
from tests.conftest import TINY
from tests.stages.pipeline import finish

PEOPLE = 5
LINKED = {"method": "linkage", "threshold": 0.6, "min_size": 2}


def shoot(folder, who, shots):
    """Write crops of a person, the same bytes for the same shot, and return their files."""
    colors = np.random.default_rng(1000 + who).integers(0, 255, (2, 3)).astype(float)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for shot in shots:
        rng = np.random.default_rng([who, shot])
        image = np.repeat(colors, 16, axis=0)[:, None, :].repeat(16, axis=1)
        noise = 6 if shot < 10 else 1  # those that come later are clear
        image = (image + rng.normal(0, noise, image.shape)).clip(0, 255).astype(np.uint8)
        files.append(folder / f"c{shot % 2 + 1}-{who}-{shot}.png")
        Image.fromarray(image).save(files[-1])
    return files


def make_run(folder):
    """Finish a run without training, its images beside it; return nothing."""
    for who in range(PEOPLE):
        shoot(folder / "images", who, range(6))
    values = merge(TINY, {"data": {"dataset": "folder", "root": str(folder / "images")}})
    values = merge(values, {"epochs": 0, "data": {"camera": "(c[0-9])-"}, "cluster": LINKED})
    values = merge(values, {"graph": {"k1": 8, "k2": 2, "eps_max": 0.97}})
    values["train"] = values["train"] | {"use_hsd": False, "use_ppa": False}
    finish(folder / "run", validate(values, "crops"))


@pytest.fixture
def later(once, tmp_path):
    """A copy of the run, `new` beside it: 6 crops of two people, 6 of two strangers."""
    made = once("later", make_run)
    run = RunLayout(shutil.copytree(made / "run", tmp_path / "run", symlinks=True))
    for who in (0, 1, 20, 21):
        shoot(tmp_path / "new", who, range(10, 13))
    return run
