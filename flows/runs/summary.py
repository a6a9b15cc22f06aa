"""What the end of a run says: what was done, where the results are and how to look at them, what fits poorly,
how to go on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from turnaround.flows.runs.execute import Result
from turnaround.flows.show.results import files_of
from turnaround.flows.subjects.fits import Fit, fit_of
from turnaround.pipeline.store.runs import LinkedRuns
from turnaround.pipeline.store.store import Store, StoreError

_MANY = 20  # failures that are told by name
_FEW = 3  # subjects whose files are named
_POOR = 6  # poor fits that are told by name


@dataclass(frozen=True)
class Run:
    """A run that has ended."""

    root: Path
    results: Sequence[Result]
    photos: int  # that were asked for
    seconds: float
    folder: Path  # runs/<time>_<config>
    command: str  # what goes on where something is left

    @property
    def failed(self) -> list[Result]:
        """The subjects that failed."""
        return [result for result in self.results if not result.ok]

    @property
    def complete(self) -> bool:
        """Whether every photo that was asked for is done."""
        return len(self.results) == self.photos and not self.failed

    @cached_property
    def fits(self) -> dict[str, Fit]:
        """How well each subject fits that is known to fit well or poorly."""
        store, found = Store(self.root), {}
        for result in self.results:
            try:
                fit = fit_of(store, result.subject)
            except StoreError:  # a damaged trace: `verify` tells
                continue
            if fit is not None:
                found[result.subject] = fit
        return found


def conclude(run: Run, *, page: bool = True) -> None:
    """Say it on stderr; `page`: the report was written."""
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)
    for text in lines(run, page=page):
        console.print(text, style="red" if text.startswith(("FAILED", "POOR FIT")) else None)
    sys.stderr.flush()


def lines(run: Run, *, page: bool = True) -> list[str]:
    """Put it into lines: first what was done, last how to go on where something is left."""
    made, fresh = (
        sum(s["state"] == state for r in run.results for s in r.stages.values())
        for state in ("made", "fresh")
    )
    done = len(run.results) - len(run.failed)
    head = (
        f"{done} of {run.photos} photos done in {run.seconds:.1f} s ({made} stages made, {fresh} fresh): "
        f"{run.folder}"
    )
    told = [head, *_where(run)]
    told += [f"FAILED {r.subject}/{r.failed}: {r.message}" for r in run.failed[:_MANY]]
    told += (
        [f"and {len(run.failed) - _MANY} more: {run.folder / 'failures.json'}"]
        if len(run.failed) > _MANY
        else []
    )
    told += _poor(run)
    told += (
        [f"{run.photos - len(run.results)} photos were not started (--fail-fast)"]
        if len(run.results) < run.photos
        else []
    )
    told += [f"report: {shlex.quote(str(run.folder / 'report.html'))}"] if page else []
    return told + ([f"Resume with: {run.command}"] if done < run.photos else [])


def _where(run: Run) -> list[str]:
    """The files of the first subjects, and the command that shows one."""
    ready = [
        (r.subject, files)
        for r in run.results[: 10 * _FEW]
        if r.ok and (files := files_of(Store(run.root), r.subject))
    ]
    told: list[str] = []
    for subject, files in ready[:_FEW]:
        told += [f"{subject}:", *(f"  {shlex.quote(str(file))}" for file in files)]
    more = sum(r.ok for r in run.results) - len(ready[:_FEW])
    if ready and more:
        told.append(f"and {more} more in {shlex.quote(str(run.root / 'subjects'))}")
    work = [] if run.root == Path("work") else ["--work", str(run.root)]
    view = any(file.suffix == ".ply" for _, files in ready for file in files)
    return told + ([f"look: {shlex.join(['turnaround', 'view', ready[0][0], *work])}"] if view else [])


def _poor(run: Run) -> list[str]:
    """Every poor fit by name with its remedy; a count of those beyond the first few."""
    poor = {subject: fit for subject, fit in run.fits.items() if fit.state == "poor"}
    told = [
        f"POOR FIT {name}: {fit.causes[0].sentence}; {fit.causes[0].remedy}"
        for name, fit in list(poor.items())[:_POOR]
    ]
    return told + (
        [f"and {len(poor) - _POOR} more poor fits: `turnaround status`"] if len(poor) > _POOR else []
    )


def as_json(run: Run) -> dict[str, Any]:
    """Give it in the form of `run --json` (docs/commands.md)."""
    fits, store = run.fits, Store(run.root)
    return {
        "seconds": round(run.seconds, 2),
        "photos": run.photos,
        "report": str(run.folder / "report.html"),
        "resume": run.command if len(run.results) - len(run.failed) < run.photos else None,
        "subjects": {
            result.subject: subject_json(store, result, fits.get(result.subject)) for result in run.results
        },
    }


def subject_json(store: LinkedRuns, result: Result, fit: Fit | None) -> dict[str, Any]:
    """Give what became of one subject."""
    return {
        "ok": result.ok,
        "photo": result.photo,
        "folder": str(store.subject(result.subject)),
        "files": [str(file) for file in files_of(store, result.subject)],
        "fit": fit.as_json() if fit else None,
        "stages": result.stages,
        "failed": result.failed,
        "fault": result.fault or None,
        "message": result.message or None,
    }


def sweep_json(results: Mapping[str, Sequence[Result]], page: Path) -> dict[str, Any]:
    """Give a sweep in the form of `sweep --json` (docs/commands.md)."""

    def row(result: Result) -> dict[str, Any]:
        return {
            "ok": result.ok,
            "stages": result.stages,
            "failed": result.failed,
            "message": result.message or None,
        }

    return {
        "page": str(page),
        "variants": {label: {r.subject: row(r) for r in all_} for label, all_ in results.items()},
    }
