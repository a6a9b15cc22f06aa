"""Do jobs under Prefect as far as that goes: whatever Prefect does, the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from turnaround.flows.prefect import server
from turnaround.flows.prefect.private_server import PrefectFailed
from turnaround.flows.prefect.runners import Runner
from turnaround.flows.runs import interrupts
from turnaround.flows.runs.execute import Event, Job, Result, listening

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
            _run(jobs, runner, workers, told)
    except PrefectFailed as failure:
        left = [job for job in jobs if job.photo.name not in done]
        rest = f"{len(left)} of {len(jobs)} photos go on directly" if left else "all photos were done before"
        log.warning(
            "Prefect is not used any more: %s. %s; --direct leaves it out from the start", failure, rest
        )
        return left
    return []


def _run(jobs: Sequence[Job], runner: str, workers: int, finished: Callable[[Result], None]) -> None:
    """All jobs under Prefect; PrefectFailed for all that is Prefect's own fault."""
    server.settle()
    elsewhere = Runner.parse(runner).elsewhere
    private = None if elsewhere else server.begin(jobs[0].root)  # comes up while Prefect is imported
    try:
        from turnaround.flows.prefect.flow import run_with_prefect
    except (
        Exception
    ) as error:  # its settings are checked when it is imported: a bad one, a profile that is no TOML
        raise PrefectFailed(f"it cannot be imported ({prefect_api.first_line(error)})") from error
    run_with_prefect(jobs, runner, workers, finished, private)
