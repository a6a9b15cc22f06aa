"""`run --people`: a photo of several people becomes a subject for each of them, `name-1`, `name-2`, ... from
left to right."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from turnaround.flows.runs.execute import lend_device
from turnaround.flows.runs.warned import naming
from turnaround.flows.subjects import given, memory
from turnaround.flows.subjects import overrides as overriding
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.graph import Subject, run_stage
from turnaround.pipeline.photos.naming import Wanted
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.stage import PHOTO, StageError
from turnaround.pipeline.store.digest import bytes_digest
from turnaround.pipeline.store.store import Record, Store

log = logging.getLogger(__name__)

People = Literal["one", "largest", "all"]
_MASK = f"{PHOTO}.mask"
_PERSON = "stages.prepare.person="
_OURS = "person "  # how the origin of a mask begins that was found here


def overrides_for(people: str, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """The settings that go with `--people`; ValueError for another word, or where they contradict each
    other."""
    if people not in get_args(People):
        raise CallError(f"--people {people}: expected {', '.join(get_args(People))}")
    chosen = [text for text in overrides if text.startswith(_PERSON)]
    if people != "one" and chosen:
        raise CallError(f"--people {people} and --set {chosen[-1]} contradict each other")
    return (*overrides, f"{_PERSON}largest") if people == "largest" else overrides


def everyone(
    project: Project,
    root: Path,
    photos: Sequence[Photo],
    config: str,
    overrides: tuple[str, ...],
    device: str,
) -> list[Photo]:
    """The photos, those of several people replaced by one for each, whose mask is given. Masks that a person
    gave stay.

    A photo whose people cannot be found stays as it is: its run tells why.
    """
    from turnaround.flows.subjects.people import People as Stage
    from turnaround.stages.prepare import PrepareConfig

    settings = project.settings(config, overrides).stages.get("prepare")
    if not isinstance(settings, PrepareConfig):
        raise CallError("--people all needs the stage `prepare`, which finds people")
    stage, store = Stage(settings), Store(root)
    found: list[Photo] = []
    for photo in _told(photos):
        try:
            subject = Subject.open(photo, store, project.weight_digest)
            with naming(photo.name):
                record = run_stage(stage, subject, lambda s: lend_device(s, device)).record
        except (StageError, OSError) as error:
            log.info("%s: %s", photo.image, error)
            found.append(photo)
            continue
        found += _each(root, store, photo, record)
    return found


def _each(root: Path, store: Store, photo: Photo, record: Record) -> Iterator[Photo]:
    files = sorted(record.file("masks").glob("*.png"), key=lambda file: int(file.stem))
    if len(files) == 1:
        yield photo
        return
    named = memory.register(root, [Wanted(photo.image, k) for k in range(1, len(files) + 1)])
    for k, file in enumerate(files, 1):
        name = named[Wanted(photo.image, k)]
        _give(
            root,
            name,
            file.read_bytes(),
            f"{_OURS}{k} of {len(files)} from the left in {photo.image.absolute()} (people {record.key})",
        )
        store.link(name, 0, record)
        _forget(store, photo.name)
        yield memory.photo(root, name, photo.image)


def _forget(store: Store, name: str) -> None:
    """The photo as one subject, where it came to nothing: its people are the subjects now. What holds a
    result or a gift stays."""
    folder = store.subject(name)
    if folder.is_dir() and [file.name for file in folder.iterdir()] == [memory.FILE]:
        (folder / memory.FILE).unlink(missing_ok=True)
        folder.rmdir()


def _give(root: Path, name: str, data: bytes, origin: str) -> None:
    """The mask of a person, unless somebody gave another one or it is there already."""
    there = next((entry for entry in given.entries(root, name).values() if entry["takes"] == _MASK), None)
    if there is not None and (not there["origin"].startswith(_OURS) or there["sha256"] == bytes_digest(data)):
        return
    overriding.place(root, name, _MASK, data, ".png", origin)


def _told(photos: Sequence[Photo]) -> Iterator[Photo]:
    """The photos one by one, counted on the terminal."""
    if not sys.stderr.isatty():
        yield from photos
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(photos, "looking for people", console=Console(stderr=True), transient=True)
