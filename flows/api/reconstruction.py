"""`reconstruct`, `reconstruct_folder` and `load`: what the command line's `run` does, as functions.

Nothing here needs Prefect, a terminal or an event loop. A call and `turnaround run` with the same photo and
settings share their runs: whichever comes second finds everything done.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from turnaround.failure import Failure, ReconstructionError
from turnaround.flows.prefect.runners import default_workers, done_directly
from turnaround.flows.runs import mirror
from turnaround.flows.runs.execute import Result
from turnaround.flows.runs.progress import Progress
from turnaround.flows.subjects import memory
from turnaround.flows.subjects.choice import Choice
from turnaround.flows.subjects.persons import overrides_for
from turnaround.flows.subjects.plan import Plan, Request, photos_of, plan
from turnaround.flows.subjects.project import Project
from turnaround.inputs import BodyFile, Picture, give, placed
from turnaround.kept import KeptRuns
from turnaround.person import Person, report_of
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.store import Store

log = logging.getLogger(__name__)

Settings: TypeAlias = str | Sequence[str] | Mapping[str, Any]
"""`"stages.refine.fit.iterations=90"`, several of these, or a mapping, nested or not:
`{"stages.refine.fit.iterations": 90}`."""
_Path: TypeAlias = str | os.PathLike[str]


def reconstruct(
    photo: Picture,
    *,
    config: _Path = "default",
    set: Settings = (),
    device: str = "auto",
    work: _Path = "work",
    mask: Picture | None = None,
    body: BodyFile | None = None,
    back: Picture | None = None,
    name: str | None = None,
    people: Literal["one", "largest"] = "one",
    until: str | None = None,
    progress: bool = True,
) -> Person:
    """Reconstruct the person of one photo; stages that are in the work folder already are not computed again.

    Args:
        photo: a path, the bytes of a picture file, a PIL image, or an array (h, w, 3 or 4) of uint8 or of
            floats in [0, 1]. What is no file is kept in WORK/photos, so that the command line finds it, too.
        config: a preset (`presets()`) or a yaml file.
        set: settings that differ from it.
        device: auto, cpu, cuda or cuda:N.
        work: the folder of all results; that of the command line by default, `work` in the current folder.
        mask: the person's mask; in the place of the one that is found, or lies beside the photo.
        body: an SMPL-X body, as other estimators write it, or a Body in our world frame.
        back: a square picture of the person from behind.
        name: of the subject; the file's own by default, for pixels one made of their digest.
        people: largest: of several people the largest, where one is an error.
        until: the last stage to do; all by default.
        progress: say on stderr what is done.

    Raises:
        CallError, ConfigError: an argument that cannot be; the message says which.
        ReconstructionError: the photo failed; the message says why and what to do.
        MissingWeight, StoreError: a weight or the work folder cannot be used.
    """
    if str(people) == "all":  # whom no type checker has told
        raise CallError(
            'people="all": reconstruct gives one person; reconstruct_folder(photo, people="all") each'
        )
    project, root = Project(), Path(os.path.abspath(work))
    overrides = overrides_for(people, overrides_of(set))
    project.settings(str(config), overrides)  # a wrong setting is told before the work folder is touched
    Store(root).prepare()
    image, subject = placed(root, photo, name)
    for kind, value in (("mask", mask), ("body", body), ("back", back)):
        give(root, subject, kind, value)
    photos = [memory.photo(root, subject, image)]
    request = Request(photos, root, str(config), overrides, device, direct=True, until=until)
    [result] = _results(plan(request, project), request, progress)
    if not result.ok:
        raise ReconstructionError(result)
    return _person(root, result)


def reconstruct_folder(
    photos: _Path | Sequence[_Path],
    *,
    recursive: bool = False,
    config: _Path = "default",
    set: Settings = (),
    device: str = "auto",
    work: _Path = "work",
    people: Literal["one", "largest", "all"] = "one",
    until: str | None = None,
    workers: int = 0,
    progress: bool = True,
) -> Iterator[Person | Failure]:
    """Reconstruct many photos; give each person when it is done, not in the order of the photos.

    A photo that fails is a `Failure` at its turn and the others go on; it counts as false, and raises its
    error where it is used as a person. A loop that ends early starts no further photo.

    Args:
        photos: a folder, a photo, a pattern ("photos/*.jpg"), a list ("@list.txt"), or several of these.
        recursive: look into the folders of the folder, too.
        people: all: of a photo of several people one Person each, NAME-1, NAME-2, ... from the left.
        workers: photos at a time; 0: one for each core and 2 GiB of free memory, at most four.
        config, set, device, work, until, progress: as of `reconstruct`.

    Raises:
        CallError, ConfigError, MissingWeight, StoreError: as `reconstruct`, at once, not at the first photo.
    """
    project, root = Project(), Path(os.path.abspath(work))
    paths = [Path(photos)] if isinstance(photos, str | os.PathLike) else [Path(photo) for photo in photos]
    asked = Request((), root, str(config), overrides_of(set), device, direct=True, until=until)
    asked = replace(asked, workers=workers, people=people)
    request = photos_of(project, asked, Choice(paths, recursive))
    results = _results(plan(request, project), request, progress)
    return (_person(root, result) if result.ok else _failure(root, result) for result in results)


def load(work: _Path, name: str) -> Person:
    """Open a subject of a work folder as its last run has left it; CallError for an unknown one.

    Nothing is computed: `turnaround status` tells whether it is up to date. What was not made is missing from
    it.
    """
    project, root = Project(), Path(os.path.abspath(work))
    known, store = memory.recall(root, name), Store(root)
    result = Result(name, known.image)
    for stage in project.classes():
        record = store.linked(name, stage.name)
        if record is not None:
            result.stages[stage.name] = {"state": "fresh", "key": record.key, "seconds": 0.0}
    for stage, message in known.failures.items():
        result.failed, result.message = stage, message
    return _person(root, result)


def overrides_of(settings: Settings) -> tuple[str, ...]:
    """Settings as the `--set` of the command line: "a.b=value"."""
    if isinstance(settings, str):
        return (settings,)
    if isinstance(settings, Mapping):
        return tuple(f"{key}={_yaml(value)}" for key, value in _flat(dict(settings), ""))
    return tuple(settings)


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            inside: Mapping[str, Any] = dict(value)  # type: ignore[arg-type]
            yield from _flat(inside, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _yaml(value: Any) -> str:
    """A value as yaml: JSON is, and a path is text."""
    return json.dumps(value, ensure_ascii=False, default=os.fspath)


def _results(planned: Plan, request: Request, progress: bool) -> Iterator[Result]:
    """Each result when it is there; what is told of a run is told."""
    shown = Progress(planned.jobs) if progress else None
    event: Callable[[str, str, str], None] = shown.event if shown else _silent
    workers = request.workers or default_workers(len(planned.jobs))
    done: list[Result] = []
    with shown or nullcontext():
        for result in done_directly(planned.jobs, workers, event):
            if shown:
                shown.finished(result)
            done.append(result)
            yield result
    if planned.remote:
        mirror.warn_of_unsent(request.root, planned.remote, done)


def _silent(subject: str, stage: str, state: str) -> None:
    """Tell nobody."""


def _runs(root: Path, result: Result) -> KeptRuns:
    return KeptRuns(root, {stage: facts["key"] for stage, facts in result.stages.items() if facts["key"]})


def _person(root: Path, result: Result) -> Person:
    """A person; one that fits poorly is told of."""
    person = Person(_runs(root, result), result)
    fit = person.report["fit"]
    if fit and fit["state"] == "poor":
        cause = fit["causes"][0]
        log.warning("poor fit of %s: %s; %s", person.name, cause["sentence"], cause["remedy"])
    return person


def _failure(root: Path, result: Result) -> Failure:
    return Failure(result, report_of(_runs(root, result), result))
