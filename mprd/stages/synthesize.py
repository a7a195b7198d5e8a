"""Stage `synthesize`: draw the synthetic data set."""

from pathlib import Path

from mprd.config import Config
from mprd.data.synthetic import SyntheticSettings, generate


def run_synthesize(out: Path, config: Config, threads: int = 1) -> int:
    """Write the synthetic images in the Market-1501 layout.

    Args:
        out: folder to make; must not exist or be empty.
        config: `data.synthetic` is read.
        threads: worker threads; the images do not depend on it.

    Returns:
        The number of images.

    Raises:
        UserError: `out` holds something already.
    """
    s = config.data.synthetic
    settings = SyntheticSettings(
        seed=s.seed,
        train_identities=s.train_identities,
        test_identities=s.test_identities,
        cameras=s.cameras,
        images_per_camera=(s.min_images, s.max_images),
        camera_presence=s.camera_presence,
        distractors=s.distractors,
        look_alike=s.look_alike,
        occlusion=s.occlusion,
    )
    return generate(settings, out, threads)
