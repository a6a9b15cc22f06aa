"""How long a run will take: by the seconds that its stages took in earlier runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from turnaround.flows.runs.execute import Job
from turnaround.pipeline.stage import Stage
from turnaround.pipeline.store.store import Record, Store

PATIENCE = 3.0  # seconds of a stage after which a person asks what it does
_ENOUGH = 15  # runs of a stage that are looked at; their names are digests, so the first are any


class Forecast:
    """Follows subjects through their stages. Not for several threads at once: `Progress` holds its lock."""

    def __init__(self, jobs: Sequence[Job], clock: Callable[[], float] = time.monotonic) -> None:
        self._jobs, self._clock = jobs, clock
        self._waiting = {job.photo.name: [stage.name for stage in job.stages] for job in jobs}
        self._at: dict[str, tuple[str, float]] = {}  # subject -> its stage, and when that began

    @cached_property
    def usual(self) -> Mapping[str, float]:
        """Seconds of stages in earlier runs, read when first asked for: many runs find all done."""
        return medians(Store(self._jobs[0].folder), self._jobs[0].stages) if self._jobs else {}

    def began(self, subject: str, stage: str) -> None:
        """A subject is at a stage now."""
        self._at[subject] = (stage, self._clock())

    def ended(self, subject: str, stage: str) -> float:
        """A stage is done; its seconds."""
        if stage in self._waiting[subject]:
            self._waiting[subject].remove(stage)
        _, began = self._at.pop(subject, (stage, self._clock()))
        return self._clock() - began

    def finished(self, subject: str) -> None:
        """A subject is done, or will not be."""
        self._waiting[subject].clear()
        self._at.pop(subject, None)

    def long(self) -> list[tuple[str, str]]:
        """Subjects and their stages that a person has been waiting for."""
        return [
            (subject, stage)
            for subject, (stage, began) in self._at.items()
            if self._clock() - began > PATIENCE
        ]

    def left(self, workers: int = 1) -> float | None:
        """Seconds until all are done, if nothing that is left is there already.

        None where nothing is left, or a stage that is left has no figure.
        """
        rest = [(subject, stage) for subject, stages in self._waiting.items() for stage in stages]
        if not rest or any(stage not in self.usual for _, stage in rest):
            return None
        spent = {
            at: min(self._clock() - began, self.usual[stage])
            for at, (stage, began) in self._at.items()
            if stage in self.usual
        }
        work = sum(self.usual[stage] for _, stage in rest) - sum(spent.values())
        return max(0.0, work) / max(1, min(workers, len(self._waiting)))


def medians(store: Store, stages: Sequence[Stage[Any]]) -> dict[str, float]:
    """Return stage -> seconds, of runs under the same settings.

    A stage whose settings are new takes those of its other runs, as long as most stages have runs of their
    own; where they have none (another preset), nothing is known: a stage that is left out has no figure.
    """
    own: dict[str, float] = {}
    other: dict[str, float] = {}
    for stage in stages:
        settings = stage.config.model_dump(mode="json")
        runs = list(islice(_runs(store, stage.name), _ENOUGH))
        alike = [run.manifest["seconds"] for run in runs if run.manifest.get("config") == settings]
        if alike:
            own[stage.name] = statistics.median(alike)
        elif runs:
            other[stage.name] = statistics.median(run.manifest["seconds"] for run in runs)
    return other | own if 2 * len(own) >= len(stages) else own


def _runs(store: Store, stage: str) -> Iterator[Record]:
    """Finished runs of a stage, any first."""
    for path in sorted((store.root / "cache" / stage).glob("*/")):
        record: Record | None = store.read(path)
        if record is not None and isinstance(record.manifest.get("seconds"), int | float):
            yield record
