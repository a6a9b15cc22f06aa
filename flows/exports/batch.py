"""Many results on their way out: subjects by name or pattern, in several formats, each as NAME.<format> in
one folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnaround.flows.exports.export import FORMATS, Changes, Exported, export_file
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.store import StoreError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """What to write of every subject, and where."""

    formats: tuple[str, ...]
    out: Path | None = (
        None  # a folder; for one subject in one format also a file; the current folder by default
    )
    changes: Changes = field(default_factory=Changes)
    strict: bool = False  # what is stale is left out

    @staticmethod
    def of(to: str, out: Path | None = None, changes: Changes = Changes(), *, strict: bool = False) -> Wish:
        """Read `glb,ply`; ValueError for a format that does not exist, or a change that one of them does not
        know."""
        formats = tuple(dict.fromkeys(word.strip().lower() for word in to.split(",") if word.strip()))
        for word in formats or (to,):
            if word not in FORMATS:
                raise CallError(
                    f"--to {word}: expected one of {', '.join(FORMATS)}, or several with commas between"
                )
        wish = Wish(formats, out, changes, strict)
        for word in formats:
            wish.of_format(word)
        return wish

    def of_format(self, to: str) -> Changes:
        """Take the changes that a format knows; ValueError for one that none of the formats knows."""
        if len(self.formats) == 1:
            self.changes.check(to)
            return self.changes
        for name, value in self.changes.__dict__.items():
            if value is not None and not any(Changes(**{name: value}).fits(other) for other in self.formats):
                Changes(**{name: value}).check(to)
        return Changes(
            **{
                name: value
                for name, value in self.changes.__dict__.items()
                if Changes(**{name: value}).fits(to)
            }
        )


@dataclass
class Exports:
    """What became of a wish."""

    written: list[tuple[str, str, Exported]] = field(default_factory=list)  # subject, format, file
    failed: list[tuple[str, str, str]] = field(default_factory=list)  # subject, format, message
    stale: dict[str, list[str]] = field(
        default_factory=dict
    )  # subject -> stages that are not what the settings say now

    def as_json(self) -> dict[str, Any]:
        """Give it in the form of `export --json` (docs/commands.md)."""
        files = [
            {
                "subject": name,
                "format": to,
                "path": str(each.path),
                "bytes": each.path.stat().st_size,
                "stages": list(each.stages),
            }
            | {"stale": [stage for stage in each.stages if stage in self.stale.get(name, [])]}
            for name, to, each in self.written
        ]
        return {
            "files": files,
            "failed": [{"subject": name, "format": to, "message": text} for name, to, text in self.failed],
        }

    def code(self, *, strict: bool) -> int:
        """Say how a command ends: 1 where something is missing, 3 where something is stale and `strict` was
        asked."""
        return 1 if self.failed else 3 if strict and self.stale else 0


def export_all(
    project: Project, root: Path, names: Sequence[str], wish: Wish, *, many: bool = False
) -> Exports:
    """Write every format of every subject; one that cannot be written is noted, and the others go on.

    many: `wish.out` is a folder and errors are noted even where there is one thing to write.
    ValueError where `wish.out` is a file and there is more than one thing to write, or for one thing that
    cannot be written.
    """
    alone = len(names) * len(wish.formats) == 1 and not many
    if not alone and wish.out is not None and wish.out.is_file():
        raise CallError(f"--out {wish.out} is a file; {len(names) * len(wish.formats)} files need a folder")
    done = Exports()
    for name in names:
        old = stale_stages(project, root, name)
        for to in wish.formats:
            target = wish.out if alone else (wish.out or Path(".")) / f"{name}.{to}"
            try:
                _one(done, root, name, to, target, wish, old)
            except (ValueError, StoreError) as error:
                if alone:
                    raise
                log.debug("%s as %s", name, to, exc_info=error)
                done.failed.append((name, to, str(error)))
    return done


def _one(
    done: Exports, root: Path, name: str, to: str, target: Path | None, wish: Wish, old: dict[str, str]
) -> None:
    """Write one file, or with `strict` leave it out where it is stale."""
    from turnaround.flows.exports.export import sources_of

    late = [stage for stage in sources_of(root, name, to, wish.of_format(to)) if stage in old]
    if late:
        done.stale.setdefault(name, []).extend(
            stage for stage in late if stage not in done.stale.get(name, [])
        )
        told = ", ".join(f"{stage} is {old[stage]}" for stage in late)
        again = f"`turnaround rerun -s {name}` brings it up to date"
        if wish.strict:
            log.warning("%s.%s is not written: %s; %s", name, to, told, again)
            return
        log.warning("%s: %s, so this is the result from before; %s", name, told, again)
    done.written.append((name, to, export_file(root, name, to, target, wish.of_format(to))))


def stale_stages(project: Project, root: Path, name: str) -> dict[str, str]:
    """Find the stages of a subject that its photo or settings have left behind -> their status in words."""
    try:
        rows = project.status(root, name)
    except (
        ValueError,
        OSError,
        RuntimeError,
        KeyError,
    ):  # the photo or a weight is gone, runs of another version: still a result
        return {}
    return {row.stage: str(row) for row in rows if row.state in ("STALE", "FAILED")}
