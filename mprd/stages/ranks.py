"""Stage `ranks`: similarities that tell ranks within each camera (`use_gcn`, `ivf`)."""

from pathlib import Path

import numpy as np
import torch

from mprd.artifacts import FEATURES, INDEX, RANKS, write_artifact
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config
from mprd.gcn.camera_frame import CameraFrame
from mprd.gcn.camera_ranks import approximate_profile, own_profile
from mprd.pipeline.layout import log_prefix
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import Sizes, require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.system.torch_setup import select_device


@exclusive
def run_ranks(*, index: Path, features: Path, out: Path, config: Config) -> None:
    """Write the cosines from which an image's rank within its camera follows.

    A track counts once, as its first image.

    With an exact search the GCN's stages compare all images themselves, each in its own memory.
    With `graph.backend: ivf` there are too many for that. The search within each camera takes
    minutes, so it is made once for all stages of an epoch. On a GPU all images are compared here.

    Args:
        index: `index.h5`.
        features: `features.h5` of the epoch.
        out: `ranks.h5` to write.
        config: `graph.min_recall` is read.

    Raises:
        UserError: an input is missing, damaged or of another run; too little memory.
    """
    lineage = Lineage("ranks")
    images = lineage.read("index", index, INDEX, ("camera", "track"))
    artifact = lineage.read("features", features, FEATURES)
    camera = images["camera"][artifact["row"]]
    count = len(np.unique(camera))
    rows, dim = artifact["features"].shape
    require_memory("ranks", Sizes(images=rows, dim=dim, cameras=count), config)
    device = select_device(config.device)
    vectors = torch.from_numpy(artifact["features"]).to(device)
    frame = CameraFrame.of_images(vectors, camera)
    centred = frame.centred(vectors, frame.cameras)
    tracks = TrackGroups.of_tracks(images["track"][artifact["row"]])
    recall = 1.0
    if device.type == "cpu":
        profile, recall = approximate_profile(
            centred, frame.cameras, config.graph.min_recall, tracks
        )
    else:
        profile = own_profile(centred, frame.cameras, tracks)
    write_artifact(
        out,
        RANKS,
        {"cosine": profile.cpu().numpy()},
        config=stage_settings(config, "ranks"),
        inputs=lineage.digests,
        attributes={"recall": recall},
    )
    print(f"{log_prefix(out)}ranks within {count} cameras, recall {recall:.3f}")
