"""Rows of a report: what is known of each subject, from a work folder's links, from a run's results, or from
a run on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnaround.flows.subjects import given
from turnaround.flows.subjects import memory as subjects
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.store import Record, Store

if TYPE_CHECKING:
    from turnaround.flows.runs.execute import Result
    from turnaround.flows.subjects.project import Project
    from turnaround.pipeline.graph import Status


@dataclass(frozen=True)
class Cell:
    """One stage of one subject."""

    stage: str
    state: str  # FRESH STALE FAILED MISSING, or of a run: MADE FRESH FAILED MISSING
    record: Record | None = None
    causes: tuple[str, ...] = ()
    note: str = ""  # the message of a failure, or what `status` adds


@dataclass(frozen=True)
class Row:
    """One subject. Names and messages come from strangers: nothing here is safe to put into HTML or a URL as
    it is."""

    name: str
    photo: Path | None
    cells: tuple[Cell, ...]
    error: str = ""  # why the subject's state is not known
    config: str = ""
    overrides: tuple[str, ...] = ()
    given: Mapping[str, str] = field(
        default_factory=dict
    )  # "stage.output" or "photo.mask" -> where a person's file came from


def of_work(project: Project, root: Path) -> list[Row]:
    """Every subject of a work folder as it is now. A subject that cannot be examined is a row with an error,
    never an exception."""
    return [_of_subject(project, root, name) for name in subjects.names(root)]


def _of_subject(project: Project, root: Path, name: str) -> Row:
    try:
        memory = subjects.recall(root, name)
    except ValueError as error:
        return Row(name, None, (), str(error))
    photo = Path(memory.image)
    provenance: dict[str, str] = {}
    try:
        provenance = {what: given.told(entry) for what, entry in given.entries(root, name).items()}
        cells = tuple(_of_status(status) for status in project.status(root, name))
    except (
        ValueError,
        RuntimeError,
        OSError,
        KeyError,
    ) as error:  # the photo or the config file is gone, a weight is missing
        return Row(name, photo, _linked(root, name), str(error), memory.config, memory.overrides, provenance)
    return Row(name, photo, cells, "", memory.config, memory.overrides, provenance)


def _of_status(status: Status) -> Cell:
    return Cell(status.stage, status.state, status.record, tuple(map(str, status.causes)), status.note)


def _linked(root: Path, name: str) -> tuple[Cell, ...]:
    """What the subject's links point at, without a judgement."""
    store = Store(root)
    stages = [
        link.name.split("_", 1)[1].removesuffix(".link")
        for link in sorted(store.subject(name).glob("[0-9][0-9]_*"))
    ]
    found = [(stage, store.linked(name, stage)) for stage in dict.fromkeys(stages)]
    return tuple(Cell(stage, "UNKNOWN" if record else "MISSING", record) for stage, record in found)


def of_results(root: Path, results: Sequence[Result], photos: Mapping[str, Path] | None = None) -> list[Row]:
    """The subjects of a run that has just ended."""
    store = Store(root)
    rows: list[Row] = []
    for result in results:
        photo = (photos or {}).get(result.subject, Path(result.photo))
        cells = _of_summary(store, result.stages, result.failed, result.message)
        rows.append(Row(result.subject, photo, cells))
    return rows


def of_run(folder: Path) -> list[Row]:
    """The subjects of a run on disk; ValueError where `folder` is none. Runs that `gc` deleted are
    MISSING."""
    root = folder.resolve().parent.parent
    store = Store(root)
    try:
        summary: dict[str, Any] = json.loads((folder / "report.json").read_text())
        known = {name: _recalled_photo(root, name) for name in summary["subjects"]}
        return [
            Row(
                name,
                known[name] or Path(s["photo"]),
                _of_summary(store, s["stages"], s.get("failed"), s.get("message", "")),
            )
            for name, s in summary["subjects"].items()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CallError(f"{folder} is no run: its report.json cannot be read ({error})") from error


def _recalled_photo(root: Path, name: str) -> Path | None:
    """The absolute path of the subject's photo; a run's report has it as it was typed."""
    try:
        return Path(subjects.recall(root, name).image)
    except ValueError:
        return None


def _of_summary(
    store: Store, stages: Mapping[str, Mapping[str, Any]], failed: str | None, message: str
) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    for stage, facts in stages.items():
        record = store.find(stage, facts["key"]) if facts["key"] else None
        state = str(facts["state"]).upper()
        lost = facts["key"] is not None and record is None
        note = message if stage == failed else "deleted since" if lost else ""
        cells.append(Cell(stage, "MISSING" if lost else state, record, (), note))
    if failed is not None and failed not in stages:  # the photo itself could not be read
        cells.insert(0, Cell(failed, "FAILED", None, (), message))
    return tuple(cells)
