"""The Prefect flow: one task per subject, in it one nested task per stage. Prefect schedules and shows; the
store caches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

# ruff: noqa: E402, settings have to be there before prefect is imported
from turnaround.flows.prefect import server

server.settle()

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed

from turnaround.flows.prefect import artifacts
from turnaround.flows.prefect.private_server import PrefectFailed, PrivateServer
from turnaround.flows.prefect.runners import Runner, resources, task_runner
from turnaround.flows.runs.execute import Job, Result, compute, is_transient, reconstruct_one, remember
from turnaround.flows.runs.warned import pass_on, silently, this_process
from turnaround.flows.runs.workers import death, despite_deaths, is_death, marked
from turnaround.pipeline.graph import Outcome, Subject
from turnaround.pipeline.stage import Stage


def _again(_task: Any, _run: Any, state: Any) -> bool:
    """Retry only what another try may mend."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_transient(error)


@task(
    name="stage",
    task_run_name="{subject.photo.name} {stage.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=1,
    retry_condition_fn=_again,
)
def run_one(stage: Stage[Any], subject: Subject, job: Job) -> Outcome:
    """One stage of one subject; hands on a record, never a tensor."""
    return compute(stage, subject, job)


@task(name="subject", task_run_name="{job.photo.name}", cache_policy=NO_CACHE, persist_result=False)
def reconstruct_subject(job: Job, marks: str | None, asked_by: str) -> Result:
    """All stages of one subject, and its contact sheet for Prefect's page; `marks`: folder of
    `flows.workers.marked`; `asked_by`: the process that passes the subject's warnings on."""
    with marked(marks, job.photo.name), silently(asked_by != this_process()):
        result = reconstruct_one(job, run_one)
    artifacts.show_subject(job, result)
    return result


@dataclass(frozen=True)
class _Work:
    """What the flow does; not its parameters, which Prefect keeps and shows, nor its closure, which travels
    to every worker."""

    jobs: Sequence[Job]
    runner: Runner
    finished: Callable[[Result], None]
    marks: str | None
    lost: list[Job] = field(default_factory=list)  # filled by the flow: those whose worker died


_work: ContextVar[_Work] = ContextVar("turnaround_work")


@flow(name="reconstruct", validate_parameters=False, persist_result=False)
def reconstruct(photos: int, work: str, runner: str, workers: int, device: str) -> list[Result]:
    """All subjects, as many at a time as the task runner has workers."""
    return _all(device)


def _all(device: str) -> list[Result]:
    """The flow's body; apart, since a flow's own function is sent to workers with everything that it
    names."""
    todo = _work.get()
    results: dict[str, Result] = {}
    with resources(todo.runner, device):
        futures = {reconstruct_subject.submit(job, todo.marks, this_process()): job for job in todo.jobs}
    for future in as_completed(list(futures)):
        try:
            result = future.result()
        except Exception as error:
            if not is_death(error):
                raise
            todo.lost.append(futures[future])
            continue
        results[result.subject] = result
        pass_on(result.process, result.warnings)
        todo.finished(result)
    done = [results[job.photo.name] for job in todo.jobs if job.photo.name in results]
    artifacts.show_run(done)
    return done


def run_with_prefect(
    jobs: Sequence[Job],
    runner: str,
    workers: int,
    finished: Callable[[Result], None],
    private: PrivateServer | None = None,
) -> list[Result]:
    """Run the flow under the task runner of that name (`Runner.parse`); `finished` is told of each subject as
    it ends.

    A subject whose worker dies is done once more, alone, and fails if that dies, too; the others go on.
    ValueError for a runner that does not exist, is not installed, or whose workers could not reach Prefect's
    server, and for a server that the user named and that does not answer; PrefectFailed where Prefect gives
    up for any other reason: what `finished` was told of is done, the rest is not.
    """
    chosen = Runner.parse(runner)
    if chosen.elsewhere:
        server.check_reachable()
    chosen.check()
    results: dict[str, Result] = {}
    stopped: list[BaseException] = []  # what `finished` raised, which ends the run on purpose

    def told(result: Result) -> None:
        results[result.subject] = result
        try:
            finished(result)
        except BaseException as stop:
            stopped.append(stop)
            raise

    def failed(job: Job, stage: str) -> None:
        result = death(job, stage)
        remember(job, job.memory.failing(stage, result.message))
        told(result)

    with server.shared_server(jobs[0].root, private) as environment:

        def go(some: Sequence[Job], workers: int, marks: str) -> Sequence[Job]:
            apart = (
                chosen.kind != "threads" and not chosen.address
            )  # processes of this machine, which see its folders
            work = _Work(some, chosen, told, marks if apart else None)
            tasks = task_runner(chosen, workers, environment)
            token = _work.set(work)
            try:
                flow = reconstruct.with_options(task_runner=tasks)
                flow(len(some), str(some[0].root), runner, workers, some[0].device)
            except (
                Exception
            ) as error:  # of Prefect, its client, a cluster: a subject's own end up in its result
                if stopped:
                    raise stopped[0] from None
                raise PrefectFailed(server.first_line(error)) from error
            finally:
                _work.reset(token)
            return work.lost

        despite_deaths(jobs, workers, go, failed)
    return [results[job.photo.name] for job in jobs]
