"""Progress of films on a terminal: a bar of frames; elsewhere nothing but what is said."""

from __future__ import annotations

import sys
from typing import Any, Self


class FrameBar:
    """A context whose `step` is told of frames, and whose `say` writes a line; both go to stderr."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            console = Console(stderr=True, emoji=False)
            self._bar = Progress(*columns, TimeRemainingColumn(), console=console)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Write a line; the bar begins anew."""
        if self._bar is None:
            sys.stderr.write(f"{text}\n")
            return
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._task = None

    def step(self, done: int, total: int) -> None:
        """Show that a frame is done."""
        if self._bar is None:
            return
        if self._task is None:
            self._task = self._bar.add_task("frames", total=total)
        self._bar.update(self._task, completed=done)
