"""`status`, `why` and `inspect`: what is there, what is stale and why. Nothing here computes anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows import given, subjects
from flows.project import Project
from pipeline.graph import Status


def show_status(project: Project, root: Path, name: str | None, *, as_json: bool) -> str:
    """A table of all subjects, or of those that a name or a pattern means, with reasons."""
    chosen = subjects.matching(root, [name]) if name else subjects.names(root)
    found = {subject: project.status(root, subject) for subject in chosen}
    if as_json:
        rows = {
            s: {st.stage: {"state": str(st), "causes": [str(c) for c in st.causes], "note": st.note} for st in all_}
            for s, all_ in found.items()
        }
        return json.dumps(rows, indent=1)
    if not found:
        return f"{root} holds no subjects yet; start with `turnaround run PHOTO`"
    return "\n".join(
        line for subject, rows in found.items() for line in [subject, *(_line(row, given.entries(root, subject)) for row in rows)]
    )


def _line(status: Status, found: dict[str, Any]) -> str:
    reason = f"  {status.causes[0]}" if status.causes else f"  {status.note}" if status.note else ""
    gifts = "".join(f"  {what} {given.told(entry)}" for what, entry in _gifts(status, found).items())
    return f"  {status.stage:12} {status!s:18}{reason}{gifts}".rstrip()


def _gifts(status: Status, found: dict[str, Any]) -> dict[str, Any]:
    """What of a stage a person gave."""
    return given.of_stage(found, status.stage, status.record.manifest["inputs"] if status.record else ())


def show_inspect(project: Project, root: Path, target: str, *, as_json: bool, verify: bool) -> tuple[str, bool]:
    """Facts of a subject's stages as text or json, and whether all files are intact."""
    subject, stage = _split(target)
    rows = project.status(root, subject)
    rows = [_find(rows, stage)] if stage else rows
    found = given.entries(root, subject)
    facts = {row.stage: _facts(row, root, verify) | {"given_by": _gifts(row, found)} for row in rows}
    intact = not any(fact.get("faults") for fact in facts.values())
    if as_json:
        return json.dumps(facts, indent=1), intact
    return "\n".join(line for name, fact in facts.items() for line in _lines(name, fact, detailed=stage is not None)), intact


def _facts(status: Status, root: Path, verify: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"state": str(status), "note": status.note}
    record = status.record
    if record is None:
        return facts
    facts |= {"folder": str(record.path.relative_to(root)), **record.manifest}
    if verify:
        facts["faults"] = record.faults(content=True)
    return facts


def _lines(name: str, fact: dict[str, Any], *, detailed: bool) -> list[str]:
    note = f"  {fact['note']}" if fact["note"] else ""
    if "outputs" not in fact:
        return [f"{name:12} {fact['state']}{note}"]
    lines = [f"{name:12} {fact['state']}  {fact['seconds']:.2f} s on {fact['device']}  {fact['folder']}{note}"]
    for entry in fact["outputs"].values():
        lines.append(f"    {entry['file']:24} {entry['kind']:10} {entry['bytes']:>10,} bytes  {entry['sha256'][:12]}")
    lines += [f"    {what} {given.told(entry)}" for what, entry in fact["given_by"].items()]
    lines += [f"    DAMAGED {fault}" for fault in fact.get("faults", [])]
    if detailed:
        lines += [f"    {part} {key}: {value}" for part in ("config", "inputs", "weights", "packages") for key, value in fact[part].items()]
    return lines


def _split(target: str) -> tuple[str, str | None]:
    subject, _, stage = target.partition("/")
    return subject, stage or None


def _find(rows: list[Status], stage: str) -> Status:
    for row in rows:
        if row.stage == stage:
            return row
    raise ValueError(f"no stage is called {stage!r}; there are {', '.join(row.stage for row in rows)}")
