"""`status`: one line a subject, or one a stage. Nothing here computes anything."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnaround.flows.subjects import given, memory
from turnaround.flows.subjects.fits import Fit, fit_of
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.graph import Status
from turnaround.pipeline.store.store import Store, StoreError

_WIDEST = 40  # letters of a name that others are lined up with
_WORST = ("FAILED", "STALE", "MISSING")  # a subject is the first of these that one of its stages is
_LONGEST = 160  # letters of a trouble on a line


@dataclass(frozen=True)
class Overview:
    """What is known of one subject: its stages, its fit, and what keeps it from being examined."""

    name: str
    stages: tuple[Status, ...] = ()
    fit: Fit | None = None  # None: nothing was made yet that tells
    error: str = ""  # why its state is not known: the photo is gone, a config file, a weight

    @property
    def state(self) -> str:
        """FRESH, MISSING, STALE or FAILED, the worst of its stages; UNKNOWN where it cannot be examined."""
        found = {status.state for status in self.stages}
        return "UNKNOWN" if self.error else next((state for state in _WORST if state in found), "FRESH")

    @property
    def seconds(self) -> float:
        """Seconds that its runs took when they were made."""
        records = [status.record for status in self.stages if status.record is not None]
        return float(sum(record.manifest.get("seconds", 0.0) for record in records))

    @property
    def trouble(self) -> str:
        """The first thing that is not as it should be, in words; empty where all is well."""
        if self.error:
            return self.error
        for state in _WORST:
            for status in self.stages:
                if status.state == state:
                    reason = status.causes[0] if status.causes else status.note or "not made yet"
                    return f"{status.stage}: {reason}"
        poor = self.fit.causes if self.fit else ()
        return f"{poor[0].sentence}; {poor[0].remedy}" if poor else ""


def overview(project: Project, root: Path, name: str) -> Overview:
    """Examine one subject. ValueError where what a person gave cannot be read; other faults are its
    `error`."""
    given.entries(root, name)  # what a person gave must not be forgotten silently
    try:
        fit = fit_of(Store(root), name)
    except StoreError as error:  # a damaged trace
        return Overview(name, error=str(error))
    try:
        return Overview(name, tuple(project.status(root, name)), fit)
    except KeyError as error:
        return Overview(
            name,
            fit=fit,
            error=f"its runs are of another version and lack {error}; `turnaround rerun -s {name}`",
        )
    except (
        ValueError,
        RuntimeError,
        OSError,
    ) as error:  # the photo or the config file is gone, a weight is missing
        return Overview(name, fit=fit, error=str(error))


def show_status(
    project: Project, root: Path, name: str | None, *, as_json: bool, stages: bool = False
) -> str:
    """Show all subjects, or those that a name or a pattern means: one line each, with `stages` one for each
    stage, too."""
    chosen = memory.matching(root, [name]) if name else memory.names(root)
    found = [overview(project, root, subject) for subject in chosen]
    if as_json:
        return json.dumps({each.name: _facts(each, root) for each in found}, indent=1)
    if not found:
        return f"{root} holds no subjects yet; start with `turnaround run PHOTO`"
    if stages:
        return "\n".join(line for each in found for line in _detailed(each, given.entries(root, each.name)))
    width = min(_WIDEST, max(len(each.name) for each in found))
    lines = [_line(each, width) for each in found]
    return "\n".join([*lines, *([_total(found)] if len(found) > 1 else [])])


def _line(each: Overview, width: int) -> str:
    fit = f"{each.fit.state} fit" if each.fit else ""
    trouble = each.trouble.splitlines()[0] if each.trouble else ""
    trouble = trouble if len(trouble) <= _LONGEST else trouble[: _LONGEST - 3] + "..."
    return f"{each.name:{width}}  {each.state:7}  {fit:8}  {each.seconds:7.1f} s  {trouble}".rstrip()


def _total(found: list[Overview]) -> str:
    states = Counter(each.state for each in found)
    counts = ", ".join(f"{number} {state}" for state, number in states.most_common())
    poor = sum(each.fit is not None and each.fit.state == "poor" for each in found)
    told = f", {poor} poor {'fit' if poor == 1 else 'fits'}" if poor else ""
    return f"{len(found)} subjects: {counts}{told}   (--long: every stage)"


def _detailed(each: Overview, gifts: dict[str, Any]) -> list[str]:
    """The subject, its fit, and a line a stage."""
    lines = [each.name, *([f"  {each.error}"] if each.error else [])]
    return lines + [_stage(row, gifts) for row in each.stages] + fit_lines(each.fit)


def _stage(status: Status, found: dict[str, Any]) -> str:
    reason = f"  {status.causes[0]}" if status.causes else f"  {status.note}" if status.note else ""
    gifts = "".join(f"  {what} {given.told(entry)}" for what, entry in gifts_of(status, found).items())
    return f"  {status.stage:12} {status!s:18}{reason}{gifts}".rstrip()


def gifts_of(status: Status, found: dict[str, Any]) -> dict[str, Any]:
    """Return what of a stage a person gave, from `given.entries`."""
    return given.of_stage(found, status.stage, status.record.manifest["inputs"] if status.record else ())


def fit_lines(fit: Fit | None) -> list[str]:
    """Put the fit into lines: its state, every cause with its remedy, every note."""
    if fit is None:
        return []
    poor = [f"    {cause.sentence}; {cause.remedy}" for cause in fit.causes]
    return [f"  {fit.state} fit", *poor, *(f"    {note.sentence}; {note.remedy}" for note in fit.notes)]


def _facts(each: Overview, root: Path) -> dict[str, Any]:
    """The form of `status --json` for one subject (docs/commands.md)."""
    rows = {
        row.stage: {"state": str(row), "causes": [str(c) for c in row.causes], "note": row.note}
        for row in each.stages
    }
    return {
        "state": each.state,
        "fit": each.fit.as_json() if each.fit else None,
        "trouble": each.trouble or None,
        "seconds": round(each.seconds, 3),
        "folder": str(Store(root).subject(each.name)),
        "stages": rows,
    }
