"""What a request for photos comes to: checked settings and a job for each photo, before anything is computed.

The command line and `import turnaround` both begin here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnaround.flows.prefect.runners import Runner
from turnaround.flows.runs import mirror
from turnaround.flows.runs.execute import Job, check_device
from turnaround.flows.subjects import memory as subjects
from turnaround.flows.subjects.choice import Choice, choose
from turnaround.flows.subjects.persons import everyone, overrides_for
from turnaround.flows.subjects.project import Project, up_to
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.settings import Settings
from turnaround.pipeline.shown import as_argument, command_line
from turnaround.pipeline.stage import Stage
from turnaround.pipeline.store.store import Store

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
    workers: int = 0  # 0 = by cores and memory
    direct: bool = False
    until: str | None = None
    force: frozenset[str] = field(default_factory=frozenset[str])
    fail_fast: bool = False
    people: str = "one"  # one | largest | all
    sources: tuple[str, ...] = ()  # the words that named the photos
    store: str | None = None  # URL of a store behind the work folder
    again: bool = False  # a `rerun`: of subjects, under the settings that are remembered

    def command(self, photos: Sequence[Photo]) -> str:
        """The command line that does these photos with the same settings."""
        if self.again:
            return command_line(
                ["turnaround", "rerun", *_chosen(photos), "--work", str(self.root), *self._how()]
            )
        images = list(dict.fromkeys(as_argument(photo.image) for photo in photos))
        named = self.sources if self.sources and len(images) > _MANY else images
        words = ["turnaround", "run", *named, "--work", str(self.root), "--config", self.config]
        words += [word for override in self.overrides for word in ("--set", override)]
        words += ["--people", self.people] if self.people != "one" else []
        words += ["--store", self.store] if self.store else []
        words += self._how()
        words += (
            ["--direct"] if self.direct else ["--runner", self.runner] if self.runner != "threads" else []
        )
        return command_line(words)

    def _how(self) -> list[str]:
        until = ["--until", self.until] if self.until else []
        return until + (["--device", self.device] if self.device != "auto" else [])


def _chosen(photos: Sequence[Photo]) -> list[str]:
    """-s for each subject; nothing for many, since `rerun` alone does only what is not FRESH."""
    return [word for photo in photos for word in ("-s", photo.name)] if len(photos) <= _MANY else []


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    settings: Settings
    jobs: list[Job]
    remote: str | None  # URL of the store behind the work folder
    elsewhere: bool  # whether other machines do it


def photos_of(project: Project, request: Request, choice: Choice) -> Request:
    """The request with the photos that a choice means: found and named, and for `people` "all" one for each
    person; what `people` asks of the settings is added.

    The settings are checked first: for a wrong one ConfigError is raised before the work folder is touched.
    CallError for photos that do not exist, or another word for `people`.
    """
    overrides = overrides_for(request.people, request.overrides)
    project.settings(request.config, overrides)
    photos = choose(request.root, choice)
    if request.people == "all":
        photos = everyone(project, request.root, photos, request.config, overrides, request.device)
    people = "all" if request.people == "all" else "one"  # "largest" is a setting now
    return replace(request, photos=photos, overrides=overrides, people=people)


def plan(request: Request, project: Project) -> Plan:
    """Check a request and make its jobs. CallError, StoreError or MissingWeight for one that cannot work."""
    elsewhere = Runner.parse(request.runner).elsewhere and not request.direct
    check_device(request.device, elsewhere=elsewhere)
    settings = project.settings(request.config, request.overrides)
    wanted = up_to(project.build(settings), request.until)
    project.check_weights(wanted)
    Store(request.root).prepare()
    url = mirror.chosen(request.store, settings)
    jobs = [replace(_job(photo, request, project, wanted), remote=url) for photo in request.photos]
    return Plan(settings, jobs, url, elsewhere)


def _job(photo: Photo, request: Request, project: Project, stages: tuple[Stage[Any], ...]) -> Job:
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
