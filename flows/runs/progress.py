"""Progress of a run: bars on a terminal; elsewhere a line a stage, or of many photos a line a photo."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any, Self

from turnaround.flows.runs.execute import Job, Result
from turnaround.flows.runs.forecast import Forecast
from turnaround.flows.runs.pace import Pace, duration

_FEW = 20  # photos; of more, every stage is not told in a line of its own
_BEAT = 1.0  # seconds between looks at the clock
_FIRST = "the first photo loads the networks, and on a new machine compiles kernels, once (a minute or two)"


class Progress:
    """A context that is told of events, from any thread; rich is imported only for a terminal."""

    def __init__(self, jobs: Sequence[Job], title: str = "photos", workers: int = 1) -> None:
        self.pace, self.forecast = Pace(len(jobs)), Forecast(jobs)
        self._title, self._workers = title, workers
        self._stages = {job.photo.name: len(job.stages) for job in jobs}
        self._total = sum(self._stages.values())
        self._seen = dict.fromkeys(self._stages, 0)
        self._computed = False  # whether a stage was made, which shows that networks are there
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._beat, daemon=True)
        self._bar: Any = None
        self._all: Any = None
        self._rows: dict[str, Any] = {}  # subject at work -> its bar

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            fields = ("description", "fields[count]", "fields[pace]")
            title, count, pace = (TextColumn(f"{{task.{name}}}") for name in fields)
            columns = (title, BarColumn(), count, TimeElapsedColumn(), pace)
            self._bar = Bar(*columns, console=Console(stderr=True, emoji=False))
            self._bar.start()
            self._all = self._bar.add_task(
                self._title, total=self._total, count=f"0/{self.pace.total}", pace=""
            )
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._clock.join()
        if self._bar is not None:
            self._bar.stop()

    def event(self, subject: str, stage: str, state: str) -> None:
        """A stage started or ended."""
        with self._lock:
            if state == "started":
                self.forecast.began(subject, stage)
                seconds = 0.0
            else:
                seconds = self.forecast.ended(subject, stage)
                self._seen[subject] += 1
                self._computed |= state == "made"
            if self._bar is not None:
                self._show(subject, stage, state)
            elif state == "made" and self.pace.total <= _FEW:
                left = self._left()
                sys.stderr.write(f"{subject}: {stage} {seconds:.1f} s{f' ({left})' if left else ''}\n")

    def finished(self, result: Result) -> None:
        """A subject ended; what its events did not tell of is made up for."""
        with self._lock:
            self.pace.finished(computed=any(stage["state"] != "fresh" for stage in result.stages.values()))
            self.forecast.finished(result.subject)
            rest = self._stages[result.subject] - self._seen[result.subject]
            if self._bar is None:
                said = "done" if result.ok else f"FAILED in {result.failed}"
                pace = f" ({self.pace})" if str(self.pace) else ""
                count = f"[{self.pace.done}/{self.pace.total}] " if self.pace.total > 1 else ""
                sys.stderr.write(f"{count}{result.subject}: {said}{pace}\n")
                return
            self._bar.update(
                self._all, advance=rest, count=f"{self.pace.done}/{self.pace.total}", pace=str(self.pace)
            )
            row = self._rows.pop(result.subject, None)
            if row is not None:
                self._bar.remove_task(row)
            if not result.ok:
                self._bar.console.print(
                    f"{result.subject}: FAILED in {result.failed}", style="red", markup=False, highlight=False
                )

    def _left(self) -> str:
        """The time left in words before a photo was computed; empty where earlier runs do not tell."""
        left = (
            None
            if self.pace.left is not None or self.pace.total > _FEW
            else self.forecast.left(self._workers)
        )
        return "" if left is None else f"about {duration(left)} left"

    def _beat(self) -> None:
        """Once a second: the time left, and what a first stage that takes long is doing."""
        while not self._ended.wait(_BEAT):
            with self._lock:
                waited = self.forecast.long()
                if waited and not self._computed and not self.forecast.usual:
                    self._computed = True  # said once
                    self._say(f"{waited[0][0]}: {waited[0][1]} is at work; {_FIRST}")
                if waited and self._bar is not None and self.pace.left is None:
                    self._bar.update(self._all, pace=self._left())

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(f"{text}\n")

    def _show(self, subject: str, stage: str, state: str) -> None:
        if state != "started":
            self._bar.update(self._all, advance=1)
        row = self._rows.get(subject)
        if row is None:
            from rich.markup import escape

            row = self._rows[subject] = self._bar.add_task(
                f"  {escape(subject)}", total=self._stages[subject], count="", pace=""
            )
        self._bar.update(
            row, completed=self._seen[subject], count=stage if state == "started" else f"{stage} {state}"
        )
