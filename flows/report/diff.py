"""`diff SUBJECT/STAGE KEY KEY`: what determined two runs of a stage, what came out, and a picture of the
difference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from turnaround.flows.report.compare import differing, differing_pictures
from turnaround.flows.report.measures import measure
from turnaround.flows.report.pairs import compare_pictures
from turnaround.flows.report.thumbs import open_picture
from turnaround.flows.report.work import FOLDER
from turnaround.flows.show.suggestions import meant
from turnaround.flows.subjects import memory
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import replacing
from turnaround.pipeline.store.recipe import Recipe, causes
from turnaround.pipeline.store.store import Record, Store

_SHOWN = 8  # pictures of the sheet
_CELL = 384  # pixels


def diff(root: Path, target: str, keys: Sequence[str]) -> tuple[dict[str, Any], tuple[Record, Record]]:
    """What differs between two runs of SUBJECT/STAGE, and the runs, old and new.

    keys: none: the one before and the current one; one: that and the current one; two. Beginnings of keys
    will do. ValueError for a subject, stage or key that is not there, or that names several.
    """
    subject, _, stage = target.partition("/")
    if not stage:
        raise CallError(f"{target!r}: expected SUBJECT/STAGE")
    memory.recall(root, subject)
    store = Store(root)
    old, new = _chosen(store, subject, stage, keys)
    found = causes(Recipe.recorded(old.manifest), Recipe.recorded(new.manifest))

    def both(name: str) -> list[Any]:
        return [record.manifest.get(name) for record in (old, new)]

    facts: dict[str, Any] = {
        "subject": subject,
        "stage": stage,
        "keys": [old.key, new.key],
        "finished": both("finished"),
        "seconds": both("seconds"),
        "device": both("device"),
        "causes": [cause.__dict__ | {"text": str(cause)} for cause in found],
        "packages": _changed(*(packages or {} for packages in both("packages"))),
        "same_code": len(set(both("source"))) == 1,
    }
    names = differing(old, new)
    facts["equal"] = not names
    facts["same"] = [name for name in new.manifest["outputs"] if name not in names]
    facts["outputs"] = {name: measure(old, new, name) for name in names}
    return facts, (old, new)


def _chosen(store: Store, subject: str, stage: str, keys: Sequence[str]) -> tuple[Record, Record]:
    current = store.linked(subject, stage)
    if len(keys) == 2:
        return _keyed(store, stage, keys[0]), _keyed(store, stage, keys[1])
    if current is None:
        made = [link.name[3:] for link in store.subject(subject).glob("[0-9][0-9]_*")]
        raise CallError(
            f"{subject} has no current run of {stage!r}{meant(stage, made)}; `turnaround inspect {subject}` "
            f"tells what there is, or name two keys"
        )
    if keys:
        return _keyed(store, stage, keys[0]), current
    before = next(
        (
            record
            for key in history(store, subject, stage)
            if key != current.key and (record := store.find(stage, key))
        ),
        None,
    )
    if before is None:
        raise CallError(
            f"{subject}/{stage} has no run before {current.key} (or `gc` has deleted it); name two keys"
        )
    return before, current


def _keyed(store: Store, stage: str, prefix: str) -> Record:
    """The run whose key begins so."""
    folder = store.path(stage, "x").parent
    found = sorted(path.name for path in folder.glob("*/")) if folder.is_dir() else []
    fitting = [name for name in found if name.startswith(prefix)]
    if len(fitting) != 1:
        what = (
            f"fits {len(fitting)} keys: {', '.join(fitting[:5])}"
            if fitting
            else f"fits none of the {len(found)} keys"
        )
        raise CallError(f"{prefix!r} {what} of stage {stage!r} in {store.root}")
    record = store.find(stage, fitting[0])
    if record is None:
        raise CallError(f"{store.path(stage, fitting[0])} is damaged; run the subject again")
    return record


def history(store: Store, subject: str, stage: str) -> Iterator[str]:
    """Keys of the subject's runs of a stage, the last used first: from the reports of runs, then from
    manifests."""
    seen: set[str] = set()
    for key in reported_keys(store, subject, stage):
        seen.add(key)
        yield key
    folder = store.path(stage, "x").parent
    rest = [
        record
        for path in folder.glob("*/")
        if path.name not in seen and (record := store.read(path)) is not None
    ]
    mine = [record for record in rest if record.manifest.get("subject") == subject]
    yield from (
        record.key for record in sorted(mine, key=lambda r: str(r.manifest.get("finished")), reverse=True)
    )


def reported_keys(store: Store, subject: str, stage: str) -> Iterator[str]:
    """Keys that the reports of runs name for the subject's stage, the last used first: what the subject had,
    no sweep's."""
    seen: set[str] = set()
    for report in sorted(
        (store.root / "runs").glob("*/report.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True
    ):
        try:
            key = json.loads(report.read_text())["subjects"][subject]["stages"][stage]["key"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if key and key not in seen:
            seen.add(key)
            yield key


def _changed(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    return {
        name: [old.get(name), new.get(name)]
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    }


def as_text(facts: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{facts['subject']}/{facts['stage']}"]
    for title, index in (("old", 0), ("new", 1)):
        lines.append(
            f"  {title} {facts['keys'][index]}  {facts['finished'][index]}  {facts['seconds'][index]} s on "
            f"{facts['device'][index]}"
        )
    lines += [f"  {cause['text']}" for cause in facts["causes"]] or [
        "  the same settings, inputs, weights and version"
    ]
    lines += [f"  PACKAGE {name}: {old} -> {new}" for name, (old, new) in facts["packages"].items()]
    lines += [] if facts["same_code"] else ["  the stage's code changed"]
    for name, values in facts["outputs"].items():
        lines.append(
            f"  {name}: {_line(values)}"
            if not any(isinstance(v, dict | list) for v in values.values())
            else f"  {name}:"
        )
        lines += [
            f"    {key}: {_line(value)}"
            for key, value in values.items()
            if any(isinstance(v, dict | list) for v in values.values())
        ]
    same = (
        "equal: the same bytes in every output"
        if facts["equal"]
        else f"same bytes: {', '.join(facts['same']) or 'nothing'}"
    )
    return "\n".join([*lines, f"  {same}"])


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {'equal pixels' if key == 'psnr' and item is None else item}"
            for key, item in value.items()
        )
    return " -> ".join(map(str, value)) if isinstance(value, list) and len(value) == 2 else str(value)


def write_sheet(root: Path, subject: str, old: Record, new: Record, out: Path | None = None) -> Path | None:
    """A PNG with rows of old, new and their difference; None where no picture differs."""
    from turnaround.pipeline.formats.preview import contact_sheet, from_pil, to_pil

    pictures, labels = [], []
    for a, b in differing_pictures(old, new)[:_SHOWN]:
        files = old.path / a.file, new.path / b.file
        facts, difference = compare_pictures(*files)
        if difference is None:
            continue
        figure = "equal pixels" if facts["psnr"] is None else f"{facts['psnr']:.1f} dB, max {facts['max']}"
        pictures += [*map(from_pil, map(open_picture, files)), from_pil(difference)]
        labels += [f"{a.label} old {old.key[:8]}", f"new {new.key[:8]}", f"difference: {figure}"]
    if not pictures:
        return None
    file = out or root / FOLDER / f"diff-{subject}-{old.manifest['stage']}-{old.key[:8]}-{new.key[:8]}.png"
    with replacing(file) as beside:
        to_pil(contact_sheet(pictures, labels, columns=3, size=_CELL)).save(beside, format="PNG")
    return file
