"""Progress of a run: a bar per run on a terminal, a line per finished photo elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Self

from flows.execute import Job, Result


class Progress:
    """A context that is told of events; rich is imported only for a terminal."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._subjects = len(jobs)
        self._total = sum(len(job.stages) for job in jobs)
        self._bar, self._task, self._seen = None, None, {job.photo.name: 0 for job in jobs}
        self._stages = {job.photo.name: len(job.stages) for job in jobs}

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def event(self, subject: str, stage: str, state: str) -> None:
        """A stage started or ended."""
        if state == "started":
            self._update(f"{subject}: {stage}", 0)
        else:
            self._seen[subject] += 1
            self._update(None, 1)
            if self._bar is None and state == "made":
                sys.stderr.write(f"{subject}: {stage} done\n")

    def finished(self, result: Result) -> None:
        """A subject ended; what its events did not tell of is made up for."""
        self._update(None, self._stages[result.subject] - self._seen[result.subject])
        if self._bar is None:
            sys.stderr.write(f"{result.subject}: {'done' if result.ok else f'FAILED in {result.failed}'}\n")

    def _update(self, description: str | None, advance: int) -> None:
        if self._bar is not None and self._task is not None:
            changes = {"description": description} if description else {}
            self._bar.update(self._task, advance=advance, **changes)  # type: ignore[arg-type]
