"""`why`: what changed, old -> new, first for the stage that was asked about and then up to where it began."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnaround.flows.report.diff import reported_keys
from turnaround.flows.show.suggestions import no_stage
from turnaround.flows.subjects import given, memory
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.graph import Status, upstream
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.stage import PHOTO
from turnaround.pipeline.store.recipe import Cause, Recipe, causes
from turnaround.pipeline.store.store import Record, Store

_DEPTH = 20  # stages that a chain of causes is followed through


@dataclass(frozen=True)
class Reasons:
    """Why a stage of a subject would run again: itself, the stages before it that this leads to, and where it
    begins."""

    subject: str
    stages: tuple[Status, ...]  # the one that was asked about first
    gifts: dict[str, dict[str, Any]]  # stage -> what a person gave there
    begins: tuple[str, ...]  # "stage: what changed"
    photo: Photo

    def as_text(self) -> str:
        """Put it into lines for people."""
        lines: list[str] = []
        for status in self.stages:
            lines += [
                f"{self.subject}/{status.stage}: {status}",
                *(f"  {_with_file(cause, self.photo)}" for cause in status.causes),
            ]
            lines += [f"  {status.note}"] if status.note else []
            lines += [f"  {what} {given.told(gift)}" for what, gift in self.gifts[status.stage].items()]
        told = (text for text in self.begins if len(self.stages) > 1 or not _said(text, lines))
        return "\n".join([*lines, *(f"it begins with {text}" for text in told)])

    def as_json(self) -> dict[str, Any]:
        """Give it in the form of `why --json` (docs/commands.md)."""
        rows = [
            {
                "stage": status.stage,
                "state": str(status),
                "causes": [
                    {"kind": c.kind, "what": c.what, "old": c.old, "new": c.new} for c in status.causes
                ],
                "note": status.note,
                "given": {what: given.told(gift) for what, gift in self.gifts[status.stage].items()},
            }
            for status in self.stages
        ]
        return {"subject": self.subject, "stages": rows, "begins": list(self.begins)}


def show_why(project: Project, root: Path, target: str, *, as_json: bool = False) -> str:
    """Show all causes of SUBJECT/STAGE as text or json; ValueError for what does not exist."""
    found = reasons(project, root, target)
    return json.dumps(found.as_json(), indent=1) if as_json else found.as_text()


def reasons(project: Project, root: Path, target: str) -> Reasons:
    """Find all causes of one stage of one subject, then those of the stages before it that they lead to."""
    subject, _, name = target.partition("/")
    if not name:
        raise CallError(f"{target!r}: expected SUBJECT/STAGE")
    statuses = {status.stage: status for status in project.status(root, subject)}
    if name not in statuses:
        raise no_stage(name, list(statuses))
    stages = {stage.name: stage for stage in project.stages_of(root, subject)}
    gifts, photo, store = given.entries(root, subject), memory.photo(root, subject), Store(root)
    begins, waiting = [], [name]
    for stage in waiting:  # grows while it is walked
        status = statuses[stage]
        for cause in status.causes:
            owner = _owner(cause)
            if owner is not None and statuses[owner].state != "FRESH":
                continue  # its own causes follow
            begins += (
                [f"{stage}: {_with_file(cause, photo)}"] if owner is None else _since(store, subject, cause)
            )
        before = (
            [other for other in upstream(stages[stage]) if statuses[other].state != "FRESH"]
            if status.state != "FRESH"
            else []
        )
        waiting += [other for other in before if other not in waiting]
        begins += [f"{stage}: {status}"] if status.state in ("MISSING", "FAILED") and not before else []
    found = {stage: given.of_stage(gifts, stage, stages[stage].needs.values()) for stage in waiting}
    return Reasons(
        subject, tuple(statuses[stage] for stage in waiting), found, tuple(dict.fromkeys(begins)), photo
    )


def _said(text: str, lines: Sequence[str]) -> bool:
    return any(line.strip() == text.partition(": ")[2] for line in lines)


def _owner(cause: Cause) -> str | None:
    """The stage that made what changed; None where nobody did."""
    owner, dot, _ = cause.what.partition(".")
    return (
        None
        if cause.kind != "INPUT"
        or owner == PHOTO
        or cause.what.startswith("given ")
        or not (dot or cause.new)
        else owner
    )


def _with_file(cause: Cause, photo: Photo) -> str:
    owner, _, source = cause.what.partition(".")
    file = photo.file(source) if cause.kind == "INPUT" and owner == PHOTO else None
    return f"{cause} ({file})" if file else str(cause)


def _since(store: Store, subject: str, cause: Cause, depth: int = 0) -> list[str]:
    """Why an input of a finished stage before differs: what set apart the runs that made the old one and the
    new one."""
    stage, _, output = cause.what.partition(".")
    old, new = (_maker(store, subject, stage, output, digest) for digest in (cause.old, cause.new))
    if old is None or new is None:
        return [f"{stage}: the run that made {cause.what} {str(cause.old)[:12]} is gone"]
    found = causes(Recipe.recorded(old.manifest), Recipe.recorded(new.manifest))
    if not found:
        return [f"{stage}: the same settings and inputs gave another {output}"]
    deeper = [
        _since(store, subject, each, depth + 1) if _owner(each) and depth < _DEPTH else [f"{stage}: {each}"]
        for each in found
    ]
    return [text for texts in deeper for text in texts]


def _maker(store: Store, subject: str, stage: str, output: str, digest: Any) -> Record | None:
    """The subject's own run whose output has this digest: the current one, else the last that the report of a
    run names.

    A sweep's variants may have made the same bytes, but the subject never had them. Of a run that was killed
    there is no report: its outputs are told by their digest alone, where only one run of the cache has it.
    """

    def made(record: Record | None) -> bool:
        return record is not None and record.manifest["outputs"].get(output, {}).get("sha256") == digest

    own = itertools.chain(
        [store.linked(subject, stage)],
        (store.find(stage, key) for key in reported_keys(store, subject, stage)),
    )
    found = next(filter(made, own), None)
    if found is not None:
        return found
    others = [
        record for path in store.runs() if path.parent.name == stage and made(record := store.read(path))
    ]
    return others[0] if len(others) == 1 else None
