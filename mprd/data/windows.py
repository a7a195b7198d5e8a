"""A span of time, as people write it: between two dates, two times of day, or two numbers."""

from dataclasses import dataclass
from datetime import UTC, datetime, time

import numpy as np

from mprd.data.datasets.clock import FRAMES, moment, number
from mprd.data.times import is_date
from mprd.errors import UserError

_DAY = 86_400.0


@dataclass(frozen=True)
class Window:
    """A span of time, its beginning included, its end not.

    Attributes:
        after: its beginning.
        before: its end.
        daily: both are seconds of a day, and the span comes on every day; it may pass midnight.
    """

    after: float
    before: float
    daily: bool

    @classmethod
    def of(
        cls,
        after: str | float | None,
        before: str | float | None,
        times: np.ndarray,
        unit: str,
    ) -> "Window":
        """Read the ends of a span.

        Args:
            after: a date (ISO 8601, as UTC without a zone), a time of day, or a number; None: any.
            before: likewise.
            times: float64 (n,), of the images that are asked for.
            unit: of the times: seconds, frames, or "" if there are none.

        Raises:
            UserError: there are no such times, or the span has no length.
        """
        known = times[np.isfinite(times)]
        if not unit or not len(known):
            raise UserError(
                "No image has a time here, so none can be chosen by time: let data.time of the "
                "run find the times, or name a --manifest with a column time."
            )
        ends = [None if end is None else _end(str(end), known, unit) for end in (after, before)]
        daily = {end[0] for end in ends if end is not None}
        if len(daily) > 1:
            raise UserError(f"'{after}' and '{before}' differ in kind: write the date in both.")
        is_daily = daily == {True}
        first, last = (None if end is None else end[1] for end in ends)
        found = cls(
            (0.0 if is_daily else -np.inf) if first is None else first,
            (_DAY if is_daily else np.inf) if last is None else last,
            is_daily,
        )
        if found.after == found.before or (not is_daily and found.after > found.before):
            raise UserError(f"No time is after '{after}' and before '{before}'.")
        return found

    def holds(self, times: np.ndarray) -> np.ndarray:
        """Return which times lie in the span, bool (n,); those that are unknown (NaN) do not."""
        if not self.daily:
            return (times >= self.after) & (times < self.before)
        of_day = np.mod(times, _DAY)
        late, early = of_day >= self.after, of_day < self.before
        return (late & early) if self.after < self.before else (late | early)


def _end(text: str, times: np.ndarray, unit: str) -> tuple[bool, float]:
    """Return whether an end is a time of day, and its number."""
    try:
        return False, number(text, unit)
    except ValueError:
        pass
    if unit == FRAMES:
        raise UserError(f"Times are frames in this run: write '{text}' as the number of a frame.")
    dated = bool(is_date(times).all())
    try:
        at = time.fromisoformat(text)
    except ValueError:
        try:
            when = moment(text)
        except ValueError:
            raise UserError(
                f"The time '{text}' is neither a date such as 2026-03-14T08:15 (ISO 8601), a time "
                "of day such as 08:15, nor a number of seconds."
            ) from None
        if not dated:
            raise UserError(
                f"The times of this run are no dates, so '{text}' is not among them: write a "
                "number of seconds, as `mprd inspect` of its index.h5 shows them."
            ) from None
        return False, when
    if not dated and (times.min() < 0 or times.max() > _DAY):
        raise UserError(
            f"The times of this run count seconds from a start that is not known, so '{text}' "
            "cannot be found: write a number of seconds, as `mprd inspect` of its index.h5 shows."
        )
    clock = datetime.combine(datetime(1970, 1, 1), at)
    clock = clock if clock.tzinfo is not None else clock.replace(tzinfo=UTC)
    return True, clock.timestamp() % _DAY
