"""A finished run of crops by camera, and crops that come later."""

import shutil

import numpy as np
from PIL import Image

from mprd.config import merge, validate
from tests.conftest import TINY
from tests.stages.pipeline import finish

LINKED = {"method": "linkage", "threshold": 0.6, "min_size": 2}


def shoot(folder, who, shots, cameras=("c1", "c2")):
    """Write crops of a person, the same for a name, and return their files."""
    colors = np.random.default_rng(1000 + who).integers(0, 255, (2, 3)).astype(float)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for shot in shots:
        rng = np.random.default_rng([who, shot])
        image = np.repeat(colors, 16, axis=0)[:, None, :].repeat(16, axis=1)
        image = (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)
        files.append(folder / f"{cameras[shot % len(cameras)]}-{who}-{shot}.png")
        Image.fromarray(image).save(files[-1])
    return files


def make_run(folder):
    """Finish a run of five people, without training."""
    for who in range(5):
        shoot(folder / "images", who, range(6))
    values = merge(TINY, {"data": {"dataset": "folder", "root": str(folder / "images")}})
    values = merge(values, {"epochs": 0, "data": {"camera": "(c[0-9])-"}, "cluster": LINKED})
    values = merge(values, {"graph": {"k1": 8, "k2": 2, "eps_max": 0.97}})
    values["train"] = values["train"] | {"use_hsd": False, "use_ppa": False}
    finish(folder / "run", validate(values, "crops"))


def copy_run(made, folder):
    return shutil.copytree(made / "run", folder / "run", symlinks=True)
