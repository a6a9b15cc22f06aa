"""How fast photos are done, and how long the others will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW = 24  # photos that the rate is the mean of: a folder of mixed sizes varies from photo to photo


class Pace:
    """Counts finished photos. Those that were there already cost nothing and say nothing of the others."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done = total, 0
        self._clock, self._last = clock, clock()
        self._intervals: deque[float] = deque(maxlen=_WINDOW)

    def finished(self, *, computed: bool) -> None:
        """One more is done; `computed` unless all of it was there."""
        now = self._clock()
        if computed:
            self._intervals.append(now - self._last)
        self._last, self.done = now, self.done + 1

    @property
    def seconds_each(self) -> float | None:
        """Seconds from one finished photo to the next, lately; None where nothing was computed yet."""
        return sum(self._intervals) / len(self._intervals) if self._intervals else None

    @property
    def left(self) -> float | None:
        """Seconds until all are done, if all that are left must be computed."""
        each = self.seconds_each
        return None if each is None else each * (self.total - self.done)

    def __str__(self) -> str:
        each, left = self.seconds_each, self.left
        if each is None or left is None:
            return ""
        rate = f"{1 / each:.1f}/s" if each < 1 else f"{60 / each:.1f}/min"
        return f"{rate}, {duration(left)} left" if self.done < self.total else rate


def duration(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 3 h 05 min."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
