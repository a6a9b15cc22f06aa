"""One subject through the stages: what every runner calls, with or without Prefect."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows import subjects
from pipeline.gpu import gpu_slot
from pipeline.graph import Outcome, Subject, ordered, run_stage
from pipeline.recipe import WeightDigest
from pipeline.source import Photo
from pipeline.stage import Stage, StageError
from pipeline.store import Store, StoreError

log = logging.getLogger(__name__)

Event = Callable[[str, str, str], None]  # subject, stage, "started" | "fresh" | "made" | "failed"
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


@dataclass
class Result:
    """What became of a subject."""

    subject: str
    photo: str
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)  # stage -> state, key, seconds
    failed: str | None = None  # the stage that failed
    message: str = ""
    fault: str = ""  # picture | weights | disk | program
    trace: str = ""  # of a fault of the program

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for is done."""
        return self.failed is None


def reconstruct_one(job: Job, run_one: RunOne | None = None, event: Event | None = None) -> Result:
    """Run the stages of a job in order; a failure ends this subject, is remembered, and is returned, not raised."""
    run_one, event = run_one or compute, event or (lambda *_: None)
    name = job.photo.name
    result, memory = Result(name, str(job.photo.image)), job.memory
    stage_name = "photo"
    try:
        subject = Subject.open(job.photo, Store(job.root), job.weight_digest)
        for position, stage in enumerate(ordered(job.stages), 1):
            stage_name = stage.name
            event(name, stage.name, "started")
            outcome = run_one(stage, subject, job)
            subject.done[stage.name] = outcome.record  # a task of another process has filled its own copy
            subject.store.link(name, position, outcome.record)
            memory = memory.failing(stage.name, None)
            state = "fresh" if outcome.fresh else "made"
            seconds = 0.0 if outcome.fresh else outcome.record.manifest["seconds"]
            result.stages[stage.name] = {"state": state, "key": outcome.record.key, "seconds": seconds}
            event(name, stage.name, state)
            if stage.name == job.until:
                break
    except Exception as error:
        _note(result, stage_name, error, job.photo)
        memory = memory.failing(stage_name, result.message)
        event(name, stage_name, "failed")
    try:
        subjects.remember(job.root, name, memory)
    except OSError as error:
        log.warning("%s: its settings cannot be remembered: %s", name, error)
    return result


def compute(stage: Stage[Any], subject: Subject, job: Job) -> Outcome:
    """Find or compute one stage on the job's device."""
    return run_stage(stage, subject, lambda s: lend_device(s, job.device), force=stage.name in job.force)


@contextmanager
def lend_device(stage: Stage[Any], wanted: str) -> Iterator[Any]:
    """The torch.device of a stage; a GPU is held by its lock while it is lent. StageError for a GPU that is not there."""
    import torch

    if wanted not in ("auto", "cpu") and not torch.cuda.is_available():
        raise ValueError(f"--device {wanted}: torch finds no CUDA device here; use --device auto or cpu")
    if stage.device == "cpu" or wanted == "cpu" or not torch.cuda.is_available():
        yield torch.device("cpu")
        return
    index = torch.device(wanted).index if wanted.startswith("cuda") else None
    indices = [index] if index is not None else list(range(torch.cuda.device_count()))
    with gpu_slot(Path(tempfile.gettempdir()) / f"turnaround-{os.getuid()}", indices) as held:
        yield torch.device("cuda", held)


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: disks, time-outs and a full GPU, never a fault of the picture."""
    if isinstance(error, StageError | StoreError | FileNotFoundError | PermissionError):
        return False
    return isinstance(error, OSError | TimeoutError) or type(error).__name__ == "OutOfMemoryError"


def _note(result: Result, stage: str, error: Exception, photo: Photo) -> None:
    """Fill in what failed and why, naming the file."""
    result.failed = stage
    kinds = {"StageError": "picture", "MissingWeight": "weights", "StoreError": "disk", "OSError": "disk", "FileNotFoundError": "disk"}
    result.fault = kinds.get(type(error).__name__, "picture" if isinstance(error, StageError) else "program")
    text = str(error) or type(error).__name__
    if result.fault == "program":
        text = f"{type(error).__name__}: {text} (a fault of the program; the report has its trace)"
        result.trace = "".join(traceback.format_exception(error))
    result.message = text if photo.image.name in text else f"{photo.image.name}: {text}"
    result.stages[stage] = {"state": "failed", "key": None, "seconds": 0.0}
    log.debug("%s failed in %s at %s", result.subject, stage, time.strftime("%X"), exc_info=error)
