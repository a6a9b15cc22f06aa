"""`inspect`: files, digests, sizes, seconds and settings of what was made for one subject. Nothing here
computes anything."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from turnaround.flows.show.results import folder_of
from turnaround.flows.show.status import fit_lines, gifts_of
from turnaround.flows.show.suggestions import no_stage
from turnaround.flows.subjects import given
from turnaround.flows.subjects.fits import Fit, fit_of
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.graph import Status
from turnaround.pipeline.store.store import Store


def show_inspect(
    project: Project, root: Path, target: str, *, as_json: bool, verify: bool
) -> tuple[str, bool]:
    """Show a subject, or one of its stages, as text or json; and whether all files are intact."""
    subject, _, stage = target.partition("/")
    rows = project.status(root, subject)
    rows = [_find(rows, stage)] if stage else rows
    found, store = given.entries(root, subject), Store(root)
    fit = fit_of(store, subject)
    facts = {
        row.stage: _facts(row, store, subject, verify) | {"given_by": gifts_of(row, found)} for row in rows
    }
    intact = not any(fact.get("faults") for fact in facts.values())
    if as_json:
        values = {
            "subject": subject,
            "folder": str(store.subject(subject)),
            "fit": fit.as_json() if fit else None,
            "stages": facts,
        }
        return json.dumps(values, indent=1), intact
    return "\n".join(_text(subject, store, facts, None if stage else fit, detailed=bool(stage))), intact


def _text(
    subject: str, store: Store, facts: dict[str, Any], fit: Fit | None, *, detailed: bool
) -> Iterator[str]:
    yield f"{subject}  {shlex.quote(str(store.subject(subject)))}"
    for name, fact in facts.items():
        yield from _lines(name, fact, detailed=detailed)
    yield from fit_lines(fit)


def _facts(status: Status, store: Store, subject: str, verify: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"state": str(status), "note": status.note}
    record = status.record
    if record is None:
        return facts
    facts |= {"folder": str(folder_of(store, subject, record)), **record.manifest}
    if verify:
        facts["faults"] = record.faults(content=True)
    return facts


def _lines(name: str, fact: dict[str, Any], *, detailed: bool) -> list[str]:
    note = f"  {fact['note']}" if fact["note"] else ""
    if "outputs" not in fact:
        return [f"{name:12} {fact['state']}{note}"]
    lines = [
        f"{name:12} {fact['state']}  {fact['seconds']:.2f} s on {fact['device']}  "
        f"{shlex.quote(fact['folder'])}{note}"
    ]
    lines += [line for entry in fact["outputs"].values() for line in _files(entry, Path(fact["folder"]))]
    lines += [f"    {what} {given.told(entry)}" for what, entry in fact["given_by"].items()]
    lines += [f"    DAMAGED {fault}" for fault in fact.get("faults", [])]
    if detailed:
        lines += [
            f"    {part} {key}: {value}"
            for part in ("config", "inputs", "weights", "packages")
            for key, value in fact[part].items()
        ]
    return lines


def _files(entry: dict[str, Any], folder: Path) -> Iterator[str]:
    """A line for each file of an output, or one for a folder of pictures; the path can be pasted into a
    shell."""
    inside = {name: facts for name, facts in entry["files"].items() if name.startswith(f"{entry['file']}/")}
    alone = {name: facts for name, facts in entry["files"].items() if name not in inside}
    if inside:
        size = sum(facts["bytes"] for facts in inside.values())
        yield _file(size, entry["kind"], entry["sha256"], folder / entry["file"], f"  ({len(inside)} files)")
    for name, facts in alone.items():
        yield _file(facts["bytes"], entry["kind"], facts["sha256"], folder / name)


def _file(size: int, kind: str, digest: str, path: Path, more: str = "") -> str:
    return f"    {size:>12,} bytes  {kind:12} {digest[:12]}  {shlex.quote(str(path))}{more}"


def _find(rows: list[Status], stage: str) -> Status:
    for row in rows:
        if row.stage == stage:
            return row
    raise no_stage(stage, [row.stage for row in rows])
