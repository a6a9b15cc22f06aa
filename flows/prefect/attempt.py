"""Do jobs under Prefect as far as that goes: whatever Prefect does, the run goes on."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from turnaround.flows.prefect import private_server, server
from turnaround.flows.prefect.private_server import PrefectFailed
from turnaround.flows.prefect.runners import Runner, run_direct
from turnaround.flows.prefect.server import first_line
from turnaround.flows.runs import interrupts
from turnaround.flows.runs.execute import Event, Job, Result, listening
from turnaround.pipeline.graph import Subject, ordered
from turnaround.pipeline.store.store import Store

log = logging.getLogger(__name__)


def under_prefect(
    jobs: Sequence[Job], runner: str, workers: int, event: Event, finished: Callable[[Result], None]
) -> list[Job]:
    """Do the jobs and return those that are left to do directly; then one warning has said why.

    ValueError for what the user asked for and cannot be: a runner that is not installed, a cluster or a
    server that does not answer.
    """
    done: set[str] = set()

    def told(result: Result) -> None:
        done.add(result.subject)
        finished(result)

    try:
        with interrupts.at_once(), listening(event):
            _run(jobs, runner, workers, event, told)
    except PrefectFailed as failure:
        interrupts.abandon()
        private_server.stop_running()
        left = [job for job in jobs if job.photo.name not in done]
        rest = f"{len(left)} of {len(jobs)} photos go on directly" if left else "nothing is lost"
        log.warning("Prefect is left out: %s; %s (--direct leaves it out from the start)", failure, rest)
        return left
    return []


def _run(
    jobs: Sequence[Job], runner: str, workers: int, event: Event, finished: Callable[[Result], None]
) -> None:
    """All jobs under Prefect; PrefectFailed for all that is Prefect's own fault."""
    server.settle()
    private = None
    if not Runner.parse(runner).elsewhere and not server.may_be_named():
        if all(is_done(job) for job in jobs):  # nobody looks at a server that ends with the run
            run_direct(jobs, 1, event, finished)
            return
        private = private_server.running(jobs[0].root)  # it comes up while Prefect is imported
    try:
        with _quickly():
            from turnaround.flows.prefect.flow import run_with_prefect
    except Exception as error:  # Prefect reads its settings now: a bad value, a profile that is no TOML
        raise PrefectFailed(f"it cannot be imported ({first_line(error)})") from error
    run_with_prefect(jobs, runner, workers, finished, private)


def is_done(job: Job) -> bool:
    """Whether every stage of a job is in the work folder, so that nothing would be computed."""
    if job.force or job.remote:
        return False
    try:
        subject = Subject.open(job.photo, Store(job.folder), job.weight_digest)
        for stage in ordered(job.stages):
            record = subject.store.find(stage.name, subject.recipe(stage).key)
            if record is None:
                return False
            subject.done[stage.name] = record
            if stage.name == job.until:
                break
    except Exception as error:  # whatever it is, the run meets it again and tells
        log.debug("%s is not done: %s", job.photo.name, error)
        return False
    return True


@contextmanager
def _quickly() -> Generator[None, None, None]:
    """Import without collecting garbage, a sixth of the time, and without a warning of an unwritable home."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Failed to create the Prefect home")
            yield
    finally:
        if collecting:
            gc.enable()
