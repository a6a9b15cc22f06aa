"""The Prefect flow: one task per subject, in it one nested task per stage. Prefect schedules and shows; the store caches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

# ruff: noqa: E402, settings have to be there before prefect is imported
from flows import prefect_api

prefect_api.settle()

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed

from flows import artifacts
from flows.execute import Job, Result, compute, is_transient, reconstruct_one
from flows.runners import Runner, resources, task_runner
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
    """All stages of one subject, and its contact sheet for Prefect's page."""
    result = reconstruct_one(job, run_one)
    artifacts.show_subject(job, result)
    return result


@dataclass(frozen=True)
class _Work:
    """What the flow does; not its parameters, which Prefect keeps and shows, nor its closure, which travels to every worker."""

    jobs: Sequence[Job]
    runner: Runner
    finished: Callable[[Result], None]


_work: ContextVar[_Work] = ContextVar("turnaround_work")


@flow(name="reconstruct", validate_parameters=False, persist_result=False)
def reconstruct(photos: int, work: str, runner: str, workers: int, device: str) -> list[Result]:
    """All subjects, as many at a time as the task runner has workers."""
    return _all(device)


def _all(device: str) -> list[Result]:
    """The flow's body; apart, since a flow's own function is sent to workers with everything that it names."""
    todo = _work.get()
    with resources(todo.runner, device):
        futures = [reconstruct_subject.submit(job) for job in todo.jobs]
    by_name: dict[str, Result] = {}
    for future in as_completed(futures):
        result = future.result()
        by_name[result.subject] = result
        todo.finished(result)
    results = [by_name[job.photo.name] for job in todo.jobs]
    artifacts.show_run(results)
    return results


def run_with_prefect(jobs: Sequence[Job], runner: str, workers: int, finished: Callable[[Result], None]) -> list[Result]:
    """Run the flow under the task runner of that name (`Runner.parse`); `finished` is told of each subject as it ends.

    ValueError for a runner that does not exist, is not installed, or whose workers could not reach Prefect's server.
    """
    chosen = Runner.parse(runner)
    if chosen.elsewhere:
        prefect_api.check_reachable()
    chosen.check()
    token = _work.set(_Work(jobs, chosen, finished))
    try:
        with nullcontext({}) if chosen.kind == "threads" else prefect_api.shared_server() as environment:
            runs = reconstruct.with_options(task_runner=task_runner(chosen, workers, environment))
            return runs(len(jobs), str(jobs[0].root) if jobs else "", runner, workers, jobs[0].device if jobs else "auto")
    finally:
        _work.reset(token)
