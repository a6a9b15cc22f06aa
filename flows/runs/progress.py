"""Progress of a run: bars on a terminal, a line per finished photo elsewhere."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Self

from turnaround.flows.runs.execute import Job, Result
from turnaround.flows.runs.pace import Pace

_FEW = 20  # photos; of more, every stage is not told in a line of its own


class Progress:
    """A context that is told of events, from any thread; rich is imported only for a terminal."""

    def __init__(self, jobs: Sequence[Job], title: str = "photos") -> None:
        self.pace = Pace(len(jobs))
        self._title = title
        self._stages = {job.photo.name: len(job.stages) for job in jobs}
        self._total = sum(self._stages.values())
        self._seen = dict.fromkeys(self._stages, 0)
        self._began: dict[str, float] = {}  # subject -> when its stage began
        self._lock = threading.Lock()
        self._bar: Any = None
        self._all: Any = None
        self._rows: dict[str, Any] = {}  # subject at work -> its bar

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[pace]}"),
            )
            self._bar = Bar(*columns, console=Console(stderr=True, emoji=False))
            self._bar.start()
            self._all = self._bar.add_task(
                self._title, total=self._total, count=f"0/{self.pace.total}", pace=""
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def event(self, subject: str, stage: str, state: str) -> None:
        """A stage started or ended."""
        with self._lock:
            if state == "started":
                self._began[subject] = time.monotonic()
            else:
                self._seen[subject] += 1
            if self._bar is not None:
                self._show(subject, stage, state)
            elif state == "made" and self.pace.total <= _FEW:
                sys.stderr.write(
                    f"{subject}: {stage} {time.monotonic() - self._began.get(subject, math.nan):.1f} s\n"
                )

    def finished(self, result: Result) -> None:
        """A subject ended; what its events did not tell of is made up for."""
        with self._lock:
            self.pace.finished(computed=any(stage["state"] != "fresh" for stage in result.stages.values()))
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
