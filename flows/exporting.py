"""`export`: one result of a subject as a file for other programs, or as a page that needs none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows import subjects
from flows.project import Project
from pipeline.store import Record, Store

log = logging.getLogger(__name__)

FORMATS = ("ply", "splat", "glb", "obj", "mp4", "html")
_GAUSSIANS = (("fuse", "gaussians"), ("refine", "gaussians"), ("coarse", "gaussians"))  # the best first
_SOURCES = {"ply": _GAUSSIANS, "splat": _GAUSSIANS, "glb": (("mesh", "mesh"),), "mp4": (("turntable", "turntable"),)}


@dataclass(frozen=True)
class Exported:
    """A written file and the stages whose outputs it shows."""

    path: Path
    stages: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path} ({self.path.stat().st_size / 1e6:.1f} MB, from {' and '.join(self.stages)})"


def export_file(root: Path, subject: str, to: str, out: Path | None) -> Exported:
    """Write a subject's best result of a format.

    Args:
        root: the work folder.
        subject: its name.
        to: one of FORMATS.
        out: the file, or a folder for SUBJECT.<to>, made where it is not there; that file in the current folder by default.

    Raises:
        DamagedRun: the result is not what was written.
        ValueError: an unknown format or subject, nothing to export yet, a file that cannot be written, or (html) a
            package that cannot be fetched; the message says what to do.
    """
    if to not in FORMATS:
        raise ValueError(f"--to {to}: expected one of {', '.join(FORMATS)}")
    subjects.recall(root, subject)
    target = _target(out or Path("."), subject, to)
    store = Store(root)
    content, stages = _page(store, subject) if to == "html" else _content(store, subject, to)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content())
    except OSError as error:
        raise ValueError(f"{target} cannot be written ({error.strerror}); choose another with --out") from error
    return Exported(target, stages)


def warn_of_stale(project: Project, root: Path, subject: str, written: Exported) -> None:
    """A warning where the photo, the settings or what was given have changed since what was written was made."""
    try:
        rows = project.status(root, subject)
    except (ValueError, OSError):  # the photo is gone, or a preset of its own: the result is still the result
        return
    old = [row for row in rows if row.stage in written.stages and row.state in ("STALE", "FAILED")]
    if old:
        told = ", ".join(f"{row.stage} is {row}" for row in old)
        log.warning("%s: %s, so this is the result from before; `turnaround rerun -s %s` brings it up to date", subject, told, subject)


def _target(out: Path, subject: str, to: str) -> Path:
    """The file to write: a new path without an ending is a folder. ValueError for the ending of another format."""
    if out.is_dir() or not (out.suffix or out.exists()):
        return out / f"{subject}.{to}"
    other = out.suffix[1:].lower()
    if other in FORMATS and other != to:
        raise ValueError(f"--out {out} ends as {other}, and --to is {to}; give them the same")
    return out


def _content(store: Store, subject: str, to: str) -> tuple[Callable[[], bytes], tuple[str, ...]]:
    record, output, stage = _best(store, subject, "glb" if to == "obj" else to)
    if to == "splat":
        from pipeline import dot_splat

        gaussians = record.load(output)
        return lambda: dot_splat.encode(gaussians), (stage,)
    record.check(output)
    return record.file(output).with_suffix(f".{to}").read_bytes, (stage,)


def _best(store: Store, subject: str, to: str) -> tuple[Record, str, str]:
    """The first source of a format that is there: record, output, stage; a warning where it is not the final one."""
    sources = _SOURCES[to]
    for stage, output in sources:
        record = store.linked(subject, stage)
        if record is not None:
            if stage != sources[0][0]:
                log.warning("%s has no result of `%s` yet: this is that of `%s`", subject, sources[0][0], stage)
            return record, output, stage
    names = " or ".join(f"`{stage}`" for stage, _ in sources)
    raise ValueError(f"{subject} has no {to} yet: it comes from {names}; `turnaround status {subject}` tells what is missing")


def _page(store: Store, subject: str) -> tuple[Callable[[], bytes], tuple[str, ...]]:
    """A page of the best Gaussians, and the mesh where there is one."""
    from flows.viewer.html_page import Person, page

    record, output, stage = _best(store, subject, "ply")
    mesh = store.linked(subject, "mesh")
    text = page(Person(subject, record.load(output), mesh.load("mesh") if mesh else None)).encode()
    return lambda: text, ((stage, "mesh") if mesh else (stage,))
