"""Who runs the subjects: this process (`--direct`), or one of Prefect's task runners."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Literal, get_args

from flows.execute import Event, Job, Result, reconstruct_one

Runner = Literal["threads", "processes", "dask", "ray"]
RUNNERS: tuple[str, ...] = get_args(Runner)
_EXTRAS = {"dask": ("prefect_dask", "DaskTaskRunner"), "ray": ("prefect_ray", "RayTaskRunner")}


def default_workers(subjects: int) -> int:
    """Subjects at a time: one for each four cores, at most four; torch and numba use the cores themselves."""
    return max(1, min(subjects, 4, (os.cpu_count() or 1) // 4))


def run_direct(jobs: Sequence[Job], workers: int, event: Event, finished: Callable[[Result], None]) -> list[Result]:
    """All jobs in this process; with one worker in this thread, where Ctrl-C interrupts at once."""
    if workers <= 1:
        results = []
        for job in jobs:
            results.append(reconstruct_one(job, event=event))
            finished(results[-1])
        return results
    by_name: dict[str, Result] = {}
    executor = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([executor.submit(reconstruct_one, job, None, event) for job in jobs]):
            result = future.result()
            by_name[result.subject] = result
            finished(result)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    return [by_name[job.photo.name] for job in jobs]


def task_runner(runner: str, workers: int) -> Any:
    """A Prefect task runner by name; ValueError with the remedy where its package is not installed."""
    from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

    if runner == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    if runner == "processes":
        return ProcessPoolTaskRunner(max_workers=workers)
    if runner not in _EXTRAS:
        raise ValueError(f"--runner {runner}: expected one of {', '.join(RUNNERS)}")
    module, name = _EXTRAS[runner]
    try:
        import importlib

        factory = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ValueError(f"--runner {runner} needs a package that is not installed: pip install 'turnaround[{runner}]'") from error
    if runner == "dask":
        return factory(cluster_kwargs={"n_workers": workers, "threads_per_worker": 1})
    return factory(init_kwargs={"num_cpus": workers})
