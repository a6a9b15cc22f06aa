"""A run with a store behind its work folder: what is checked before, sent to workers of other machines, and
fetched after."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from turnaround.flows.runs.execute import Job, Result
from turnaround.flows.subjects import memory as subjects
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.graph import ordered
from turnaround.pipeline.settings import Settings
from turnaround.pipeline.store.mirror import open_store, send_photo, unsent
from turnaround.pipeline.store.remote import Unreachable, remote

log = logging.getLogger(__name__)

VARIABLE = "TURNAROUND_STORE"


def chosen(given: str | None, settings: Settings) -> str | None:
    """The URL of `--store`, of TURNAROUND_STORE or of `store.remote` in the config; ValueError for one that
    cannot work."""
    url = given or os.environ.get(VARIABLE) or settings.remote
    if url:
        remote(url).check()
    return url or None


def send_photos(jobs: Sequence[Job]) -> list[Job]:
    """Jobs that workers can do which do not see the photos; ValueError where the store does not answer."""
    try:
        return [
            dataclasses.replace(job, photo_digests=send_photo(job.photo, job.remote)) if job.remote else job
            for job in jobs
        ]
    except Unreachable as error:
        raise CallError(
            f"the photos cannot be sent to the workers: {error}; run without --runner ...=ADDRESS, or later"
        ) from error


def collect(jobs: Sequence[Job], results: Sequence[Result]) -> None:
    """Bring what workers of other machines made into this work folder, and link it."""
    by_name = {result.subject: result for result in results}
    for job in jobs:
        result = by_name.get(job.photo.name)
        if result is None or not job.remote:
            continue
        store, memory = open_store(job.root, job.remote), job.memory
        for position, stage in enumerate(ordered(job.stages), 1):
            facts = result.stages.get(stage.name)
            record = store.find(stage.name, facts["key"]) if facts and facts["key"] else None
            if record is not None:
                store.link(job.photo.name, position, record)
                memory = memory.failing(stage.name, None)
            elif facts and facts["key"]:
                log.warning(
                    "%s/%s: run %s was made on a worker and is not in %s",
                    result.subject,
                    stage.name,
                    facts["key"],
                    job.remote,
                )
        subjects.remember(
            job.root,
            job.photo.name,
            memory.failing(result.failed, result.message) if result.failed else memory,
        )


def warn_of_unsent(root: Path, url: str, results: Sequence[Result]) -> None:
    """Say how many runs are in the work folder alone."""
    runs = {
        (stage, facts["key"]) for result in results for stage, facts in result.stages.items() if facts["key"]
    }
    missing = unsent(root, url, sorted(runs))
    if missing:
        log.warning(
            "%d of %d runs are in %s and not yet at %s: the same command sends them",
            len(missing),
            len(runs),
            root,
            url,
        )
