"""Stage `ranks`: the similarity of every image to each camera's (`use_gcn`, `ivf`)."""

from pathlib import Path

import numpy as np
import torch

from mprd.artifacts import FEATURES, INDEX, RANKS, read_artifact, write_artifact
from mprd.config import Config
from mprd.gcn.camera_frame import CameraFrame
from mprd.gcn.camera_ranks import approximate_profile, camera_profile
from mprd.pipeline.layout import log_prefix
from mprd.pipeline.lineage import require_parent
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.system.ram import ranks_bytes, require
from mprd.system.torch_setup import select_device

SETTINGS = ("graph.min_recall",)


@exclusive
def run_ranks(*, index: Path, features: Path, out: Path, config: Config) -> None:
    """Write the cosines that give an image's rank within its camera.

    With an exact search the GCN's stages compare all images themselves, each in its own memory.
    With `graph.backend: ivf` there are too many for that; the search within each camera takes
    minutes and is made once for all stages of an epoch. On a GPU all are compared here, too.

    Args:
        index: `index.h5`.
        features: `features.h5` of the epoch.
        out: `ranks.h5` to write.
        config: `graph.min_recall` is read.

    Raises:
        UserError: an input is missing, damaged or of another run; too little memory.
    """
    images = read_artifact(index, INDEX, ("camera",))
    artifact = read_artifact(features, FEATURES)
    require_parent(artifact, "index", images.digest, index)
    camera = images["camera"][artifact["row"]]
    count = len(np.unique(camera))
    rows, dim = artifact["features"].shape
    require("ranks", ranks_bytes(rows, dim, count), "Take a machine with more memory.")
    device = select_device(config.device)
    vectors = torch.from_numpy(artifact["features"]).to(device)
    frame = CameraFrame.of_images(vectors, camera)
    centred = frame.centred(vectors, frame.cameras)
    recall = 1.0
    if device.type == "cpu":
        profile, recall = approximate_profile(centred, frame.cameras, config.graph.min_recall)
    else:
        profile = camera_profile(centred, centred, frame.cameras, 0)
    write_artifact(
        out,
        RANKS,
        {"cosine": profile.cpu().numpy()},
        config=stage_settings(config, "ranks"),
        inputs={"index": images.digest, "features": artifact.digest},
        attributes={"recall": recall},
    )
    print(f"{log_prefix(out)}ranks within {count} cameras, recall {recall:.3f}")
