"""How every report of `evaluate` begins, how it grows, and how many subjects are measured at a time."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from turnaround.flows.evaluation.page import REPORT
from turnaround.flows.evaluation.setting import Setting
from turnaround.pipeline.files import write_atomic
from turnaround.pipeline.stage import StageError

log = logging.getLogger(__name__)
Figures = dict[str, Any]
Case = TypeVar("Case")
Progress = Callable[[int, int, str], None]  # subjects done, subjects in all, a line about the last one


@dataclass(frozen=True)
class Telling:
    """Who is told of a report that grows."""

    json_path: Path | None = None  # the report is written here, anew after each subject
    progress: Progress | None = None

    def tell(self, done: int, total: int, line: str) -> None:
        """A line about the last subject."""
        log.info("%d of %d: %s", done, total, line)
        if self.progress:
            self.progress(done, total, line)


@dataclass(frozen=True)
class Form:
    """What a suite's report looks like."""

    build: Callable[[Sequence[Figures]], Figures]  # the report of those subjects that there are so far
    line: Callable[[Figures], str]  # about one subject


def header(suite: str, setting: Setting, **more: Any) -> Figures:
    """What was run, with which settings, code and device."""
    how = {"config": setting.config, "overrides": list(setting.overrides)}
    return {"suite": suite, **more, **how, "commit": _commit(), "device": _device(setting.device)}


def gather(found: Iterable[Figures], total: int, form: Form, telling: Telling) -> Figures:
    """The report of all subjects, built and told of anew after each."""
    subjects: list[Figures] = []
    report = form.build(subjects)
    for figures in found:
        subjects.append(figures)
        report = form.build(subjects)
        write(report, telling.json_path)
        telling.tell(len(subjects), total, form.line(figures))
    return report


def each(cases: Iterable[Case], measure: Callable[[Case], Figures], workers: int) -> Iterator[Figures]:
    """The figures of every case, in order; with several workers no more cases wait than there are workers."""
    if workers <= 1:
        yield from (measure(case) for case in cases)
        return
    from collections import deque
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[Figures]] = deque()
        for case in cases:
            waiting.append(pool.submit(measure, case))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def tried(name: str, measure: Callable[[], Figures]) -> Figures:
    """The figures of one case; what fails is reported under "failed", never raised."""
    try:
        return measure()
    except Exception as error:
        log.warning("%s could not be measured", name, exc_info=error)
        return {"failed": "measuring", "message": f"{type(error).__name__}: {error}"}


def suite(found: Iterable[Figures], total: int, form: Form, telling: Telling, folder: Path) -> Figures:
    """As `gather`, kept in the folder, too; StageError where not one case could be measured."""
    figures = gather(found, total, form, telling)
    require_some(figures)
    write(figures, folder / REPORT)
    return figures


def counts(subjects: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many were reconstructed, and how many failed."""
    failed = sum("failed" in subject or "error" in subject for subject in subjects)
    return {"count": len(subjects) - failed, "failed": failed}


def require_some(report: Mapping[str, Any]) -> None:
    """StageError with the first cause where nobody could be reconstructed."""
    if report["count"] == 0:
        subjects = report["subjects"]
        causes = "; ".join(f"{s['name']} failed in {s['failed']}: {s['message']}" for s in subjects[:1])
        raise StageError(f"none of {len(subjects)} people could be reconstructed; {causes}")


def peak_memory_gb() -> float:
    """Of the largest process so far."""
    users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(user).ru_maxrss for user in users) / 2**20  # Linux counts in KiB


def write(report: Mapping[str, Any], path: Path | None) -> None:
    """The report as JSON, complete or absent; nothing without a path."""
    if path is None:
        return
    write_atomic(path, (json.dumps(report, indent=1) + "\n").encode())


def _device(wanted: str) -> str:
    """The name of the device that `auto` means here."""
    import torch

    if wanted == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return torch.cuda.get_device_name()


def _commit() -> str | None:
    """The repository's commit, with + when files differ from it; None outside of a repository."""
    root = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        run = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
