"""`run` and `rerun`: jobs from photos, progress while they work, the report and the exit code after."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from turnaround.flows import report
from turnaround.flows.prefect.attempt import under_prefect
from turnaround.flows.prefect.runners import default_workers, run_direct
from turnaround.flows.runs import mirror
from turnaround.flows.runs.execute import Job, Result
from turnaround.flows.runs.progress import Progress
from turnaround.flows.runs.summary import Run, conclude
from turnaround.flows.subjects.plan import Request, plan
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.store.store import StoreError

log = logging.getLogger(__name__)


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
    planned = plan(request, project)
    jobs, url = planned.jobs, planned.remote
    started = time.perf_counter()
    far = url is not None and planned.elsewhere
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
        ended = replace(
            ended, folder=report.write(request.root, planned.settings, results, seconds, command, images)
        )
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
    with Progress(jobs, workers=workers) as progress:

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
