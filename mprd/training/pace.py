"""How long a step takes, measured in the first steps of an epoch."""

import time
from collections.abc import Callable

_WARM = 2  # steps before the clock starts: the first ones choose algorithms and fill caches
_LEAST = 2  # steps that are timed, at least
_SECONDS = 10.0  # for which they are timed: other programs come and go


class Pace:
    """Tells once how long a step takes."""

    def __init__(
        self, tell: Callable[[float], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Begin.

        Args:
            tell: is called with the seconds that a step takes, once.
            clock: in seconds.
        """
        self._tell, self._clock = tell, clock
        self._began, self._told = 0.0, False

    def step(self, done: int) -> None:
        """Take note of a step.

        Args:
            done: steps that are done, from 1.
        """
        if self._told or done < _WARM:
            return
        if done == _WARM:
            self._began = self._clock()
            return
        timed, elapsed = done - _WARM, self._clock() - self._began
        if timed >= _LEAST and elapsed >= _SECONDS:
            self._told = True
            self._tell(elapsed / timed)
