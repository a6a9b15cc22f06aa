"""Subjects whose worker process died (kill -9, the kernel out of memory): what they were at, and how the rest
goes on.

A pool of processes ends whole when one of them dies. Each worker therefore leaves a mark of what it is doing;
those that were being done when the pool ended are tried once more, each in a pool of its own, and one whose
worker dies again fails alone.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from turnaround.flows.runs.execute import Job, Result, listening, note_failure
from turnaround.pipeline.errors import TurnaroundError, is_one_of
from turnaround.pipeline.files import temporary_folder

log = logging.getLogger(__name__)

DEATHS = (  # what pools and clusters raise when a worker died
    "concurrent.futures.process:BrokenProcessPool",
    "distributed:KilledWorker",
    "ray.exceptions:WorkerCrashedError",
    "ray.exceptions:NodeDiedError",
    "ray.exceptions:OutOfMemoryError",
    "ray.exceptions:ActorDiedError",
)


class WorkerDied(TurnaroundError, RuntimeError):
    """The worker of a subject died, and another one that did it alone."""

    fault = "memory"


def is_death(error: BaseException) -> bool:
    """Whether an exception of a pool or a cluster says that a worker died."""
    return is_one_of(error, *DEATHS)


@contextmanager
def marked(marks: str | None, name: str) -> Generator[None, None, None]:
    """In a worker: keep the stage of a subject in a file of the folder `marks` while it is done; a killed
    worker leaves it there."""
    if marks is None:
        yield
        return
    file = _mark(marks, name)
    file.write_text("photo")

    def note(subject: str, stage: str, state: str) -> None:
        if subject == name and state == "started":
            file.write_text(stage)

    with listening(note):
        yield
    file.unlink()


def _mark(marks: str, name: str) -> Path:
    return Path(marks) / hashlib.sha256(name.encode()).hexdigest()


Round = Callable[[Sequence[Job], int, str], Sequence[Job]]


def despite_deaths(jobs: Sequence[Job], workers: int, go: Round, failed: Callable[[Job, str], None]) -> None:
    """All jobs in rounds, each with new workers, until every one is done or its worker died twice.

    Args:
        jobs: to do.
        workers: at a time; a suspect is done alone.
        go: does jobs with that many workers which leave marks in that folder, and returns those that were
        lost with their worker. failed: told of a job that was lost again when it was alone, and of the stage
        that it was at.
    """
    waiting, alone = list(jobs), False
    suspects: list[Job] = []
    while waiting or suspects:
        if not waiting:
            waiting, alone = [suspects.pop(0)], True
        with temporary_folder() as folder:
            marks = str(folder)
            lost = list(go(waiting, 1 if alone else workers, marks))
            left = {job.photo.name: _mark(marks, job.photo.name) for job in lost}
            stages = {name: mark.read_text() for name, mark in left.items() if mark.exists()}
        if alone or (
            len(lost) == len(waiting) and not stages
        ):  # workers that die before they begin will not do better
            for job in lost:
                failed(job, stages.get(job.photo.name, "photo"))
            lost = []
        elif lost:
            names = ", ".join(sorted(stages)) or "nothing"
            log.warning(
                "a worker process died while the pool was at %s; the rest goes on, then these once more, "
                "each alone",
                names,
            )
        suspects += [job for job in lost if job.photo.name in stages]
        waiting = [job for job in lost if job.photo.name not in stages]


def death(job: Job, stage: str) -> Result:
    """The result of a subject whose worker died twice at a stage."""
    error = WorkerDied(
        "the process that did it was killed, a second time when it was alone: most often the machine had too "
        "little memory; "
        "use fewer --workers, a smaller photo or --config tiny, and look into the kernel's log (dmesg)"
    )
    result = Result(job.photo.name, str(job.photo.image))
    note_failure(result, stage, error, job.photo)
    return result
