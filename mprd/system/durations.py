"""Durations in words, and how long training takes."""

import time

import psutil

# A training step takes as long as this many passes of its images through the network.
_PASSES_A_STEP = 5
# Processes that an epoch starts where it is not one of several in a job: features, graph, clusters
# and training. The two in the middle start in half the time.
_STARTS = 3


def duration(seconds: float) -> str:
    """Return a duration in words."""
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 60 / 24:.0f} days"


def epoch_seconds(
    *, step: float, iters: int, batch: int, images: int, start: float, epochs_per_job: int
) -> float:
    """Return how long an epoch takes: features of all images, training, starts of processes.

    Args:
        step: seconds that a training step takes.
        iters: steps.
        batch: images of a step.
        images: of the run.
        start: seconds that the start of a process takes.
        epochs_per_job: see the setting.
    """
    embedding = images / batch * step / _PASSES_A_STEP
    starts = _STARTS if epochs_per_job == 1 else 1 / epochs_per_job
    return iters * step + embedding + starts * start


def seconds_since_start() -> float:
    """Return for how long this process has run."""
    return time.time() - psutil.Process().create_time()
