"""`run` and `rerun`: jobs from photos, progress while they work, the report and the exit code after."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows import report, subjects
from flows.execute import Job, Result
from flows.project import Project, up_to
from flows.runners import RUNNERS, default_workers, run_direct
from pipeline.source import Photo
from pipeline.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One call of `run` or `rerun`."""

    photos: Sequence[Photo]
    root: Path
    config: str = "default"
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    runner: str = "threads"
    workers: int = 0  # 0 = by the cores
    direct: bool = False
    until: str | None = None
    force: frozenset[str] = field(default_factory=frozenset)

    def command(self, photos: Sequence[Photo]) -> str:
        """The command line that does these photos with the same settings."""
        words = ["turnaround", "run", *(str(photo.image) for photo in photos), "--work", str(self.root), "--config", self.config]
        words += [word for override in self.overrides for word in ("--set", override)]
        words += ["--until", self.until] if self.until else []
        words += ["--device", self.device] if self.device != "auto" else []
        words += ["--direct"] if self.direct else ["--runner", self.runner] if self.runner != "threads" else []
        return shlex.join(words)


def run(request: Request, project: Project) -> list[Result]:
    """Do all photos and write the report; ValueError, StoreError or MissingWeight for a call that cannot work."""
    from flows.progress import Progress

    if request.runner not in RUNNERS:
        raise ValueError(f"--runner {request.runner}: expected one of {', '.join(RUNNERS)}")
    settings = project.settings(request.config, request.overrides)
    stages = project.build(settings)
    wanted = up_to(stages, request.until)
    project.check_weights(wanted)
    Store(request.root).prepare()
    jobs = [_job(photo, request, project, wanted) for photo in request.photos]
    workers = request.workers or default_workers(len(jobs))
    started = time.perf_counter()
    with Progress(jobs) as progress:
        if request.direct:
            results = run_direct(jobs, workers, progress.event, progress.finished)
        else:
            from flows.reconstruct import run_with_prefect

            results = run_with_prefect(jobs, request.runner, workers, progress.finished)
    seconds = time.perf_counter() - started
    failed = [photo for photo, result in zip(request.photos, results, strict=True) if not result.ok]
    images = {photo.name: photo.image for photo in request.photos}
    folder = report.write(request.root, settings, results, seconds, request.command(failed), images)
    _conclude(results, seconds, folder, request.command(failed))
    return results


def _job(photo: Photo, request: Request, project: Project, stages: tuple) -> Job:
    known = None
    try:
        known = subjects.recall(request.root, photo.name)
    except ValueError:
        log.debug("%s is new", photo.name)
    image = str(photo.image.resolve())
    if known is not None and known.image != image:
        log.warning("subject %s was %s and is now %s", photo.name, known.image, image)
    config = str(Path(request.config).resolve()) if request.config.endswith((".yaml", ".yml")) else request.config
    memory = subjects.Memory(image, config, request.overrides, known.failures if known else {})
    return Job(photo, request.root, stages, project.weight_digest, memory, request.device, request.force, request.until)


def _conclude(results: Sequence[Result], seconds: float, folder: Path, command: str) -> None:
    """Say on stderr what was done, what failed, and how to go on."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    failed = [result for result in results if not result.ok]
    made = sum(stage["state"] == "made" for result in results for stage in result.stages.values())
    fresh = sum(stage["state"] == "fresh" for result in results for stage in result.stages.values())
    console.print(
        f"{len(results) - len(failed)} of {len(results)} photos done in {seconds:.1f} s ({made} stages made, {fresh} fresh): {folder}"
    )
    for result in failed:
        console.print(f"[red]FAILED[/red] {escape(f'{result.subject}/{result.failed}: {result.message}')}")
    if failed:
        console.print(f"Resume with: {escape(command)}")
    sys.stderr.flush()
