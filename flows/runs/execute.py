"""One subject through the stages: what every runner calls, with or without Prefect."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnaround.flows.runs.warned import naming, this_process
from turnaround.flows.subjects import memory as subjects
from turnaround.pipeline.errors import CallError, TurnaroundError, is_one_of
from turnaround.pipeline.files import FULL, told_full
from turnaround.pipeline.gpu import gpu_slot
from turnaround.pipeline.graph import Outcome, Subject, ordered, run_stage
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.shown import shown
from turnaround.pipeline.stage import Stage, StageError
from turnaround.pipeline.store.mirror import fetch_photo, open_store
from turnaround.pipeline.store.recipe import WeightDigest
from turnaround.pipeline.store.runs import Runs
from turnaround.pipeline.store.store import DamagedRun, StoreError

log = logging.getLogger(__name__)

Event = Callable[[str, str, str], None]  # subject, stage, "started" | "fresh" | "made" | "failed"
_listeners: list[Event] = []  # of this process: Prefect's threads hand on no callback
RunOne = Callable[[Stage[Any], Subject, "Job"], Outcome]


@dataclass(frozen=True)
class Job:
    """One subject to do; small and picklable, so that a worker elsewhere can take it."""

    photo: Photo
    root: Path
    stages: tuple[Stage[Any], ...]
    weight_digest: WeightDigest
    memory: subjects.Memory
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    force: frozenset[str] = frozenset()  # stages to compute again
    until: str | None = None  # the last stage to do
    apart: bool = False  # a variant: the subject's links and what is remembered of it stay as they are
    remote: str | None = None  # URL of the store behind the work folder
    photo_digests: Mapping[str, str] | None = (
        None  # of the files that wait there for workers which do not see the photo
    )

    @property
    def folder(self) -> Path:
        """The work folder on this machine: one with a store behind it may lie elsewhere on each
        (TURNAROUND_WORK)."""
        return Path(os.environ.get("TURNAROUND_WORK") or self.root) if self.remote else self.root

    def here(self) -> Photo:
        """The photo as this machine sees it, fetched where it does not; OSError where it cannot be had."""
        if self.remote is None or self.photo_digests is None or self.photo.image.is_file():
            return self.photo
        return fetch_photo(self.photo, self.photo_digests, self.folder, self.remote)


@dataclass
class Result:
    """What became of a subject."""

    subject: str
    photo: str
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)  # stage -> state, key, seconds
    failed: str | None = None  # the stage that failed
    message: str = ""
    fault: str = ""  # picture | weights | disk | memory | program
    trace: str = ""  # of a fault of the program
    warnings: list[str] = field(default_factory=list)  # each names the subject
    process: str = ""  # that did it

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for is done."""
        return self.failed is None


def reconstruct_one(job: Job, run_one: RunOne | None = None, event: Event | None = None) -> Result:
    """Run the stages of a job in order; a failure ends this subject, is remembered, and is returned, not
    raised.

    A run of the cache that turns out to be damaged when it is read is set aside and made again.
    """
    result = Result(job.photo.name, str(job.photo.image), process=this_process())
    attempt = _Attempt(job, run_one or compute, event or _tell, result)
    with naming(job.photo.name) as result.warnings:
        _try(attempt, job, result)
    return result


def _try(attempt: _Attempt, job: Job, result: Result) -> None:
    """Do a job, and fill in what failed and why."""
    store = open_store(job.folder, job.remote)
    try:
        with store.at_work():
            remember(
                job, job.memory
            )  # first: a run that is killed leaves a subject that `status`, `rerun` and `gc` know
            for _ in range(len(job.stages)):  # each try mends a run, and a subject has no more than these
                try:
                    attempt.go(store)
                    break
                except DamagedRun as damage:
                    log.warning("%s: %s", job.photo.name, damage)
                    store.set_aside(damage.path)
            else:
                attempt.go(store)
    except Exception as error:
        note_failure(result, attempt.stage, error, job.photo)
        attempt.memory = attempt.memory.failing(attempt.stage, result.message)
        attempt.event(job.photo.name, attempt.stage, "failed")
    remember(job, attempt.memory)


def remember(job: Job, memory: subjects.Memory) -> None:
    """Write what is to be known of the subject; a variant leaves it as it is."""
    if job.apart:
        return
    try:
        subjects.remember(job.folder, job.photo.name, memory)
    except OSError as error:
        log.warning("%s: its settings cannot be remembered: %s", job.photo.name, error)


@contextmanager
def listening(event: Event) -> Generator[None, None, None]:
    """Tell `event` of the stages of every subject that this process does without a callback of its own."""
    _listeners.append(event)
    try:
        yield
    finally:
        _listeners.remove(event)


def _tell(subject: str, stage: str, state: str) -> None:
    for listener in tuple(_listeners):
        listener(subject, stage, state)


class _Attempt:
    """One job on its way: the stage it is at, and what is to be remembered of it."""

    def __init__(self, job: Job, run_one: RunOne, event: Event, result: Result) -> None:
        self.job, self.run_one, self.event, self.result = job, run_one, event, result
        self.memory, self.stage = job.memory, "photo"

    def go(self, store: Runs) -> None:
        """All stages from the first; those made by an earlier attempt are fresh and stay noted as made."""
        job, name = self.job, self.job.photo.name
        subject = Subject.open(job.here(), store, job.weight_digest)
        for position, stage in enumerate(ordered(job.stages), 1):
            self.stage = stage.name
            self.event(name, stage.name, "started")
            outcome = self.run_one(stage, subject, job)
            subject.done[stage.name] = outcome.record  # a task of another process has filled its own copy
            if not job.apart:
                store.link(name, position, outcome.record)
            self.memory = self.memory.failing(stage.name, None)
            before = self.result.stages.get(stage.name)
            if before is None or not outcome.fresh:
                state = "fresh" if outcome.fresh else "made"
                seconds = 0.0 if outcome.fresh else outcome.record.manifest["seconds"]
                self.result.stages[stage.name] = {
                    "state": state,
                    "key": outcome.record.key,
                    "seconds": seconds,
                }
                self.event(name, stage.name, state)
            if stage.name == job.until:
                break


def compute(stage: Stage[Any], subject: Subject, job: Job) -> Outcome:
    """Find or compute one stage on the job's device; a GPU that ran out of memory is emptied and tried once
    more."""
    try:
        return _compute(stage, subject, job)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        log.warning(
            "%s/%s: out of GPU memory; trying once more with an empty cache", subject.photo.name, stage.name
        )
    _empty_gpu()  # outside of the handler, whose traceback holds the first try's tensors
    return _compute(stage, subject, job)


def _compute(stage: Stage[Any], subject: Subject, job: Job) -> Outcome:
    return run_stage(stage, subject, lambda s: lend_device(s, job.device), force=stage.name in job.force)


def _empty_gpu() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def check_device(wanted: str, *, elsewhere: bool = False) -> None:
    """ValueError for a word that is no device, or a GPU that is not there; `elsewhere`, on other machines,
    only the word is looked at."""
    kind, colon, index = wanted.partition(":")
    numbered = bool(colon) and kind == "cuda" and index.isascii() and index.isdigit()
    if kind not in ("auto", "cpu", "cuda") or (colon and not numbered):
        raise CallError(f"--device {wanted}: expected auto, cpu, cuda or cuda:N")
    if kind != "cuda" or elsewhere:
        return
    import torch

    if not torch.cuda.is_available():
        raise CallError(f"--device {wanted}: torch finds no CUDA device here; use --device auto or cpu")
    if numbered and int(index) >= torch.cuda.device_count():
        raise CallError(
            f"--device {wanted}: the GPUs here are cuda:0 to cuda:{torch.cuda.device_count() - 1}"
        )


@contextmanager
def lend_device(stage: Stage[Any], wanted: str) -> Generator[Any, None, None]:
    """The torch.device of a stage; a GPU is held by its lock while it is lent. ValueError for a GPU that is
    not there."""
    import torch

    check_device(wanted)
    if stage.device == "cpu" or wanted == "cpu" or not torch.cuda.is_available():
        yield torch.device("cpu")
        return
    index = torch.device(wanted).index if wanted.startswith("cuda") else None
    indices = [index] if index is not None else list(range(torch.cuda.device_count()))
    with gpu_slot(Path(tempfile.gettempdir()) / f"turnaround-{os.getuid()}", indices) as held:
        yield torch.device("cuda", held)


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: disks and time-outs, never a fault of the picture; a full GPU was tried
    again already."""
    if isinstance(error, StageError | StoreError | FileNotFoundError | PermissionError):
        return False
    return isinstance(error, OSError | TimeoutError)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the GPU was full."""
    return is_one_of(error, "torch:OutOfMemoryError")


def note_failure(result: Result, stage: str, error: Exception, photo: Photo) -> None:
    """Fill in what failed and why, naming the file."""
    result.failed = stage
    if isinstance(error, TurnaroundError):
        result.fault = error.fault
    else:
        result.fault = "disk" if isinstance(error, OSError) else "program"
    text = str(error) or type(error).__name__
    if is_out_of_memory(error):
        result.fault = "memory"
        first = text.splitlines()[0]
        text = (
            f"the GPU has too little free memory, on a second try too ({first}); use --device cpu, a "
            f"smaller --config, or fewer --workers"
        )
    elif isinstance(error, OSError) and error.errno in FULL:
        text = told_full(error)
    if result.fault == "program":
        text = f"{type(error).__name__}: {text} (a fault of the program; the report has its trace)"
        result.trace = "".join(traceback.format_exception(error))
    name = shown(photo.image.name)
    text = text.replace(photo.image.name, name)
    result.message = text if name in text else f"{name}: {text}"
    result.stages[stage] = {"state": "failed", "key": None, "seconds": 0.0}
    log.debug("%s failed in %s at %s", result.subject, stage, time.strftime("%X"), exc_info=error)
