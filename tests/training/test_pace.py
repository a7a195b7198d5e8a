"""What a first epoch says of the time, with a clock in hand."""

import pytest

from mprd.system.durations import duration, epoch_seconds
from mprd.training.pace import Pace


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("step", [0.01, 0.3, 2.5])
def test_a_pace_is_told_once_without_the_first_steps(step):
    clock, told = Clock(), []
    pace = Pace(told.append, clock)
    for done in range(1, 2001):
        clock.now += 30 if done <= 2 else step
        pace.step(done)
        if told:
            assert done >= 4
    assert told == [pytest.approx(step)]


def test_few_short_steps_tell_nothing():
    clock, told = Clock(), []
    pace = Pace(told.append, clock)
    for done in range(1, 20):
        clock.now += 0.01
        pace.step(done)
    assert told == []


def test_an_epoch_is_steps_and_features_and_starts_of_processes():
    facts = {"step": 2.5, "iters": 25, "batch": 64, "images": 320, "start": 4.0}
    assert epoch_seconds(**facts, epochs_per_job=5) == pytest.approx(62.5 + 2.5 + 0.8)
    assert epoch_seconds(**facts, epochs_per_job=1) == pytest.approx(62.5 + 2.5 + 12)


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "1 minute"), (1600, "27 minutes"), (7200, "2 hours")]
)
def test_words(seconds, words):
    assert duration(seconds) == words
