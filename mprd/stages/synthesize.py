"""Stage `synthesize`: draw the synthetic data set."""

from pathlib import Path

from mprd.config import Config
from mprd.data.synthetic.dataset import generate
from mprd.errors import many, say


def run_synthesize(*, out: Path, config: Config, threads: int = 1) -> None:
    """Write the synthetic images in the Market-1501 layout.

    Args:
        out: folder to make; must not exist or be empty.
        config: of the run.
        threads: worker processes; the images do not depend on it.

    Raises:
        UserError: `out` holds something already.
    """
    count = generate(config.data.synthetic, out, threads)
    say(f"{many(count, 'image')} in {out}")
