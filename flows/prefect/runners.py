"""Who runs the subjects: this process (`--direct`), or one of Prefect's task runners, here or on a
cluster."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from turnaround.flows.runs.execute import Event, Job, Result, reconstruct_one
from turnaround.pipeline.errors import CallError

Kind = Literal["threads", "processes", "dask", "ray"]
RUNNERS: tuple[str, ...] = get_args(Kind)
_MEMORY = 2.0  # GiB of a photo at a time; two in one process take 3.1
_EXTRAS = {"dask": ("prefect_dask", "DaskTaskRunner"), "ray": ("prefect_ray", "RayTaskRunner")}


@dataclass(frozen=True)
class Runner:
    """A task runner: `threads`, `processes`, `dask`, `ray`; for a cluster that runs `dask=tcp://HOST:8786` or
    `ray=ray://HOST:10001`."""

    kind: str
    address: str = ""

    @staticmethod
    def parse(text: str) -> Runner:
        """From `--runner`; ValueError for anything else."""
        kind, equals, address = text.partition("=")
        if kind not in RUNNERS or bool(equals) != bool(address) or (address and kind not in _EXTRAS):
            raise CallError(
                f"--runner {text}: expected one of {', '.join(RUNNERS)}, dask=ADDRESS or ray=ADDRESS"
            )
        return Runner(kind, address)

    @property
    def elsewhere(self) -> bool:
        """Whether its workers may be on other machines."""
        host = self.address.rpartition("://")[2].rsplit(":", 1)[0].strip("[]")
        return bool(host) and host not in ("127.0.0.1", "localhost", "::1")

    def check(self) -> None:
        """ValueError where no cluster answers at the address, within 5 s."""
        import socket

        host, _, port = self.address.rpartition("://")[2].rpartition(":")
        if not port.isdigit():  # `auto`, or a kind of address that only the package itself understands
            return
        try:
            socket.create_connection((host.strip("[]"), int(port)), 5).close()
        except OSError as error:
            raise CallError(
                f"--runner {self.kind}={self.address}: no cluster answers there ({error}); start one, or "
                f"check the address"
            ) from error


def default_workers(subjects: int) -> int:
    """Subjects at a time: one for each core and each 2 GiB of free memory, at most four.

    torch and numba use the cores themselves, but one photo keeps only 70 % of two of them busy.
    """
    return max(1, min(subjects, 4, _cores(), int(_free_memory() // _MEMORY)))


def _cores() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_memory() -> float:
    """GiB that programs can still take; where the system does not tell, enough for one photo."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 2**20
    except (OSError, StopIteration, ValueError, IndexError):
        return _MEMORY


def done_directly(jobs: Sequence[Job], workers: int, event: Event) -> Generator[Result, None, None]:
    """Do the jobs and give each result when it is there; with one worker in this thread, where Ctrl-C
    interrupts at once. A consumer that stops starts no further job."""
    if workers <= 1:
        for job in jobs:
            yield reconstruct_one(job, event=event)
        return
    executor = ThreadPoolExecutor(workers)
    try:
        for future in as_completed([executor.submit(reconstruct_one, job, None, event) for job in jobs]):
            yield future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def run_direct(
    jobs: Sequence[Job], workers: int, event: Event, finished: Callable[[Result], None]
) -> list[Result]:
    """Do all jobs in this process; the results in the order of the jobs."""
    by_name: dict[str, Result] = {}
    with closing(done_directly(jobs, workers, event)) as results:
        for result in results:
            by_name[result.subject] = result
            finished(result)
    return [by_name[job.photo.name] for job in jobs]


def task_runner(runner: Runner, workers: int, environment: dict[str, str]) -> Any:
    """A Prefect task runner; ValueError with the remedy where its package is not installed.

    environment: variables that workers of other processes get, PREFECT_API_URL above all.
    """
    from prefect.task_runners import ThreadPoolTaskRunner

    if runner.kind == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    if runner.kind == "processes":
        return _process_pool()(max_workers=workers)
    module, name = _EXTRAS[runner.kind]
    os.environ.setdefault(
        "DASK_LOGGING__DISTRIBUTED", "error"
    )  # read when dask is imported, here and in its workers
    try:
        factory = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise CallError(
            f"--runner {runner.kind} needs a package that is not installed: pip install "
            f"'turnaround[{runner.kind}]'"
        ) from error
    return (_dask if runner.kind == "dask" else _ray)(factory, runner.address, workers, environment)


def _process_pool() -> Any:
    """Prefect's pool of processes, which does not keep this process from ending after one of the workers was
    killed."""
    from prefect.task_runners import ProcessPoolTaskRunner

    class Pool(ProcessPoolTaskRunner):
        def _stop_message_forwarding(self) -> None:
            if (queue := self._subprocess_message_queue) is not None:
                queue.cancel_join_thread()  # a killed worker may hold the queue's lock for ever
            super()._stop_message_forwarding()

    return Pool


def _dask(factory: Any, address: str, workers: int, environment: dict[str, str]) -> Any:
    """Workers of one thread each: torch and numba use the cores themselves, and a GPU is lent to one stage at
    a time."""
    if address:
        return factory(address=address)
    from dask import config

    # a variable of the nannies, which start the workers with it
    config.set({"distributed.nanny.environ": environment, "distributed.scheduler.work-stealing": True})
    cluster = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "silence_logs": "ERROR",
        "host": "127.0.0.1",
    }
    return factory(cluster_kwargs=cluster)


def _ray(factory: Any, address: str, workers: int, environment: dict[str, str]) -> Any:
    """On one machine no task asks Ray for a GPU, so all workers must go on seeing all of them: the lock is
    what lends them."""
    values: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    values["runtime_env"] = {
        "env_vars": environment | ({} if address else {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"})
    }
    if address:
        return factory(address=address, init_kwargs=values)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return factory(
        address="local", init_kwargs=values | {"num_cpus": workers, "include_dashboard": False}
    )  # not one that happens to run


def resources(runner: Runner, device: str) -> AbstractContextManager[Any]:
    """What a subject asks of a cluster when it is submitted: one GPU where `device` is cuda, otherwise
    nothing.

    Ray counts its machines' GPUs itself; Dask's workers say what they have: `dask worker --resources GPU=1`.
    On one machine the lock of `pipeline/gpu.py` lends the GPU stage by stage, which leaves it free meanwhile.
    """
    if not runner.address or not device.startswith("cuda"):
        return nullcontext()
    if runner.kind == "ray":
        return importlib.import_module("prefect_ray.context").remote_options(
            num_gpus=1
        )  # an extra, maybe not installed
    from dask.base import annotate

    return annotate(resources={"GPU": 1})
