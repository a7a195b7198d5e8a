"""What the benchmarks share of runs: how they begin, and the commands of their stages."""

import sys
from pathlib import Path

from mprd.config import Config, load_config
from mprd.pipeline.conditions import SYNTHETIC
from mprd.pipeline.files import Step, files_read, output_arguments
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.location import data_location
from mprd.pipeline.stages import stage
from mprd.stages.run_stage import run_stage

PROGRAM = Path(sys.executable).parent / "mprd"


def draw_images(config: Config, threads: int) -> None:
    """Draw the images of a synthetic data set, if they are not there."""
    from mprd.stages.synthesize import run_synthesize

    images = data_location(config)
    if SYNTHETIC.holds(config) and not images.exists():
        run_synthesize(out=images, config=config, threads=threads)


def start_run(run: RunLayout, config: Config, threads: int) -> None:
    """Write images, index, pixels and initial model of a run."""
    draw_images(config, threads)
    for name in ("index", "pixels", "init"):
        run_stage(name, run, config, threads=threads)


def command(name: str, run: RunLayout, settings: Path, step: Step = None) -> list[str]:
    """Return the command of a stage of a run, word by word.

    Args:
        name: of the stage.
        run: layout of the run.
        settings: config file.
        step: number of an epoch, or the name of an evaluation.
    """
    one, config = stage(name), load_config(settings)
    files = {read.flag: path for read, path in files_read(one, run, step, config).items()}
    written = output_arguments(one, run, step, config)
    files |= {f"--{keyword}": path for keyword, path in written.items()}
    words = [str(PROGRAM), one.command or one.name, "--config", str(settings)]
    words += [part for flag, path in files.items() for part in (flag, str(path))]
    takes_epoch = any(option.name == "epoch" for option in one.options)
    return [*words, "--epoch", str(step)] if takes_epoch else words
