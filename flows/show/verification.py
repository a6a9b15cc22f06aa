"""`verify`: every file of every run against the digest in its manifest; what is damaged is set aside, so that
`run` makes it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from turnaround.flows.subjects import memory as subjects
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store import links
from turnaround.pipeline.store.manifest import MANIFEST, Fault, Record
from turnaround.pipeline.store.recipe import Recipe
from turnaround.pipeline.store.store import Store, StoreError

Told = Callable[[int, int], None]  # runs done, runs in all


@dataclass(frozen=True)
class Damage:
    """One run with its faults, and what became of it."""

    run: str  # cache/<stage>/<key>
    subjects: tuple[str, ...]  # whose current run it is
    faults: tuple[Fault, ...]
    aside: str | None = None  # where it was moved to; None where it was left
    refused: str = ""  # why it could not be moved


@dataclass(frozen=True)
class Report:
    """What `verify` found."""

    runs: int
    files: int
    bytes: int
    damaged: tuple[Damage, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damaged


def verify(root: Path, names: Sequence[str], *, repair: bool, told: Told | None = None) -> Report:
    """Compare the current runs of these subjects, or all of the cache, with their manifests.

    repair: move damaged runs to tmp/, whence `gc` deletes them. ValueError for an unknown subject or no work
    folder.
    """
    store = Store(root)
    if not (root / "cache").is_dir():
        raise CallError(f"{root} is no work folder (it has no cache/); give it with --work")
    owners = _owners(store, names)
    paths = sorted(owners) if names else list(store.runs())
    files, size, damaged = 0, 0, []
    for count, path in enumerate(paths, 1):
        faults, entries = _examine(path)
        files, size = files + len(entries), size + sum(entries)
        if faults:
            damaged.append(_settle(store, path, tuple(sorted(owners.get(path, ()))), faults, repair))
        if told is not None:
            told(count, len(paths))
    return Report(len(paths), files, size, tuple(damaged))


def _owners(store: Store, names: Sequence[str]) -> dict[Path, set[str]]:
    """Run -> the subjects that it is the current one of; `names` or all. Links that lead out of the cache are
    passed over."""
    held: dict[Path, set[str]] = {}
    cache = store.root / "cache"
    for name in subjects.matching(store.root, names) if names else subjects.names(store.root):
        subjects.recall(store.root, name)
        for link in sorted(store.subject(name).iterdir()):
            target = links.target(link)
            if target is not None and target.parent.parent == cache:
                held.setdefault(target, set()).add(name)
    return held


def _examine(path: Path) -> tuple[list[Fault], list[int]]:
    """Faults of a run, and the sizes of its files."""
    try:
        record = Record.read(path)
        key = Recipe.recorded(record.manifest).key
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        text = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        return [
            Fault(
                MANIFEST,
                "a manifest",
                "none" if isinstance(error, FileNotFoundError) else "something else",
                text,
            )
        ], []
    wrong = [Fault(MANIFEST, path.name, key, f"describes the run {key}")] if key != path.name else []
    sizes = [
        facts["bytes"] for entry in record.manifest["outputs"].values() for facts in entry["files"].values()
    ]
    return wrong + record.damage(content=True), sizes


def _settle(store: Store, path: Path, owners: tuple[str, ...], faults: list[Fault], repair: bool) -> Damage:
    run = path.relative_to(store.root).as_posix()
    if not repair:
        return Damage(run, owners, tuple(faults))
    try:
        aside = store.set_aside(path)
    except StoreError as error:
        return Damage(run, owners, tuple(faults), refused=str(error))
    return Damage(run, owners, tuple(faults), aside.relative_to(store.root).as_posix())


def as_json(report: Report) -> str:
    """For programs."""
    return json.dumps(asdict(report) | {"intact": report.intact}, indent=1)


def as_text(report: Report) -> str:
    """File, expected and got for every fault, and what to do next."""
    lines: list[str] = []
    for damage in report.damaged:
        whose = f"  ({', '.join(damage.subjects)})" if damage.subjects else ""
        lines.append(f"DAMAGED {damage.run}{whose}")
        for fault in damage.faults:
            lines.append(f"  {fault}")
            lines.append(f"    expected {fault.expected}, got {fault.got}")
        lines += [f"  set aside as {damage.aside}"] if damage.aside else []
        lines += [f"  left where it is: {damage.refused}"] if damage.refused else []
    lines.append(
        f"{report.runs} runs, {report.files} files, {report.bytes / 2**20:.1f} MiB: "
        f"{len(report.damaged) or 'none'} damaged"
    )
    if any(damage.aside for damage in report.damaged):
        lines.append("`turnaround run` with the same photos and settings makes them again")
    elif report.damaged:
        lines.append(
            "`turnaround verify` without --keep sets them aside; `turnaround run` then makes them again"
        )
    return "\n".join(lines)
