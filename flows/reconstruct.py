"""The Prefect flow: one task per subject, in it one nested task per stage. Prefect schedules and shows; the store caches."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

# before prefect is imported: the first start of its server takes longer than its own 20 s when several start at once
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # failures are in our report
os.environ.setdefault("DO_NOT_TRACK", "1")

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed

from flows.execute import Job, Result, compute, is_transient, reconstruct_one
from flows.runners import task_runner
from pipeline.graph import Outcome, Subject
from pipeline.stage import Stage


def _again(_task: Any, _run: Any, state: Any) -> bool:
    """Retry only what another try may mend."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_transient(error)


@task(
    name="stage", task_run_name="{subject.photo.name} {stage.name}", cache_policy=NO_CACHE, persist_result=False,
    retries=2, retry_delay_seconds=1, retry_condition_fn=_again,
)  # fmt: skip
def run_one(stage: Stage[Any], subject: Subject, job: Job) -> Outcome:
    """One stage of one subject; hands on a record, never a tensor."""
    return compute(stage, subject, job)


@task(name="subject", task_run_name="{job.photo.name}", cache_policy=NO_CACHE, persist_result=False)
def reconstruct_subject(job: Job) -> Result:
    """All stages of one subject."""
    return reconstruct_one(job, run_one)


@flow(name="reconstruct", validate_parameters=False, persist_result=False)
def reconstruct(jobs: Sequence[Job], finished: Callable[[Result], None]) -> list[Result]:
    """All subjects, as many at a time as the task runner has workers."""
    futures = {reconstruct_subject.submit(job): job for job in jobs}
    by_name: dict[str, Result] = {}
    for future in as_completed(list(futures)):
        result = future.result()
        by_name[result.subject] = result
        finished(result)
    return [by_name[job.photo.name] for job in jobs]


def run_with_prefect(jobs: Sequence[Job], runner: str, workers: int, finished: Callable[[Result], None]) -> list[Result]:
    """Run the flow under the task runner of that name."""
    return reconstruct.with_options(task_runner=task_runner(runner, workers))(list(jobs), finished)
