"""`run` and `rerun`: jobs from photos, progress while they work, the report and the exit code after."""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from turnaround.flows import report
from turnaround.flows.prefect.attempt import under_prefect
from turnaround.flows.prefect.runners import Runner, default_workers, run_direct
from turnaround.flows.runs import mirror
from turnaround.flows.runs.execute import Job, Result, check_device
from turnaround.flows.runs.progress import Progress
from turnaround.flows.runs.summary import Run, conclude
from turnaround.flows.subjects import memory as subjects
from turnaround.flows.subjects.project import Project, up_to
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.store.store import Store, StoreError

log = logging.getLogger(__name__)

_MANY = 20  # photos; a command that names more is not for people


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
    fail_fast: bool = False
    people: str = "one"  # one | largest | all
    sources: tuple[str, ...] = ()  # the words that named the photos
    store: str | None = None  # URL of a store behind the work folder
    again: bool = False  # a `rerun`: of subjects, under the settings that are remembered

    def command(self, photos: Sequence[Photo]) -> str:
        """The command line that does these photos with the same settings."""
        if self.again:
            return shlex.join(
                ["turnaround", "rerun", *_chosen(photos), "--work", str(self.root), *self._how()]
            )
        images = list(dict.fromkeys(str(photo.image) for photo in photos))
        named = self.sources if self.sources and len(images) > _MANY else images
        words = ["turnaround", "run", *named, "--work", str(self.root), "--config", self.config]
        words += [word for override in self.overrides for word in ("--set", override)]
        words += ["--people", self.people] if self.people != "one" else []
        words += ["--store", self.store] if self.store else []
        words += self._how()
        words += (
            ["--direct"] if self.direct else ["--runner", self.runner] if self.runner != "threads" else []
        )
        return shlex.join(words)

    def _how(self) -> list[str]:
        until = ["--until", self.until] if self.until else []
        return until + (["--device", self.device] if self.device != "auto" else [])


def _chosen(photos: Sequence[Photo]) -> list[str]:
    """-s for each subject; nothing for many, since `rerun` alone does only what is not FRESH."""
    return [word for photo in photos for word in ("-s", photo.name)] if len(photos) <= _MANY else []


class _FailedFast(Exception):
    """A photo failed and no other is to be started."""


def run(request: Request, project: Project) -> list[Result]:
    """Do all photos, write the report and say what came of it; the results in the order of the photos. Errors
    as `run_all`."""
    return list(run_all(request, project).results)


def run_all(request: Request, project: Project) -> Run:
    """Do all photos, write the report and say what came of it.

    With `fail_fast` the results end with those that were done when the first failed.
    ValueError, StoreError or MissingWeight for a call that cannot work.
    """
    runner = Runner.parse(request.runner)
    check_device(request.device, elsewhere=runner.elsewhere and not request.direct)
    settings = project.settings(request.config, request.overrides)
    stages = project.build(settings)
    wanted = up_to(stages, request.until)
    project.check_weights(wanted)
    Store(request.root).prepare()
    url = mirror.chosen(request.store, settings)
    jobs = [replace(_job(photo, request, project, wanted), remote=url) for photo in request.photos]
    started = time.perf_counter()
    far = url is not None and runner.elsewhere and not request.direct
    results = _work(mirror.send_photos(jobs) if far else jobs, request)
    if far:
        mirror.collect(jobs, results)
    if url:
        mirror.warn_of_unsent(request.root, url, results)
    seconds = time.perf_counter() - started
    done = {result.subject for result in results if result.ok}
    command = request.command([photo for photo in request.photos if photo.name not in done])
    images = {photo.name: photo.image for photo in request.photos}
    ended = Run(request.root, results, len(jobs), seconds, request.root / "runs", command)
    try:
        ended = replace(ended, folder=report.write(request.root, settings, results, seconds, command, images))
    except OSError as error:
        conclude(ended, page=False)
        raise StoreError(
            f"{request.root / 'runs'}: the report cannot be written ({error.strerror or error}); free "
            f"some space"
        ) from error
    conclude(ended)
    return ended


def _work(jobs: Sequence[Job], request: Request) -> list[Result]:
    """Do the jobs under the runner, in the order of the jobs, with progress; stop early where the first
    failure is to end all."""
    results: dict[str, Result] = {}
    workers = request.workers or default_workers(len(jobs))
    with Progress(jobs) as progress:

        def finished(result: Result) -> None:
            results[result.subject] = result
            progress.finished(result)
            if request.fail_fast and not result.ok:
                raise _FailedFast

        try:
            left = jobs
            if not request.direct:
                left = under_prefect(jobs, request.runner, workers, progress.event, finished)
            if left:
                run_direct(left, workers, progress.event, finished)
        except _FailedFast:
            log.info("stopped at the first failure")
    return [results[job.photo.name] for job in jobs if job.photo.name in results]


def _job(photo: Photo, request: Request, project: Project, stages: tuple) -> Job:
    known = None
    try:
        known = subjects.recall(request.root, photo.name)
    except ValueError:
        log.debug("%s is new", photo.name)
    image = os.path.abspath(photo.image)
    if known is not None and known.image != image:
        log.warning("subject %s was %s and is now %s", photo.name, known.image, image)
    config = (
        str(Path(request.config).resolve()) if request.config.endswith((".yaml", ".yml")) else request.config
    )
    memory = subjects.Memory(image, config, request.overrides, known.failures if known else {})
    return Job(
        photo,
        request.root,
        stages,
        project.weight_digest,
        memory,
        request.device,
        request.force,
        request.until,
    )
