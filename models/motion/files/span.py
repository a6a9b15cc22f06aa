"""Which frames of a file are read: those between two times, as often as they are wanted, and not too many."""

from __future__ import annotations

from dataclasses import dataclass

from turnaround.pipeline.errors import FormatError

MAX_FRAMES = 30_000  # that become a motion: a quarter of an hour at 30 a second


@dataclass(frozen=True)
class Span:
    """What is wanted of a file; seconds."""

    start: float = 0.0
    end: float | None = None
    fps: float | None = None  # frames a second of the result; None keeps the file's

    def frames(self, count: int, rate: float) -> tuple[slice, float]:
        """The frames that are read of `count` at `rate` a second, and their own rate, at least `fps`.

        Raises:
            FormatError: where none or more than MAX_FRAMES are left.
        """
        if not count:
            raise FormatError("it has 0 frames")
        first = max(0, round(self.start * rate))
        last = count if self.end is None else min(count, round(self.end * rate) + 1)
        if first >= last:
            until = "its end" if self.end is None else f"{self.end:g} s"
            raise FormatError(
                f"nothing is left between {self.start:g} s and {until}: it lasts {(count - 1) / rate:.2f} s"
            )
        step = max(1, int(rate / self.fps + 1e-6)) if self.fps else 1
        left = -(-(last - first) // step)
        if left > MAX_FRAMES:
            raise FormatError(
                f"{left} frames ({(last - first) / rate:.0f} s at {rate / step:g} a second); at most "
                f"{MAX_FRAMES} are read: give a start and an end in seconds, or fewer frames a second"
            )
        return slice(first, last, step), rate / step
