"""The page of a work folder: report/index.html, every subject as it is now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from turnaround.flows.report import rows
from turnaround.flows.report.document import Document
from turnaround.flows.report.page import write_page
from turnaround.flows.report.thumbs import Thumbs
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.store import Store

if TYPE_CHECKING:
    from turnaround.flows.subjects.project import Project

FOLDER = "report"  # in the work folder


def thumbs_of(root: Path) -> Thumbs:
    """The thumbnails of a work folder."""
    return Thumbs(root / FOLDER / "thumbs")


def orphans(store: Store) -> list[Path]:
    """Thumbnails of contents that no run has or needs any more."""
    folder = store.root / FOLDER / "thumbs"
    files = (
        [file for file in sorted(folder.glob("*")) if file.suffix in (".jpg", ".why")]
        if folder.is_dir()
        else []
    )
    if not files:
        return []
    known: set[str] = set()
    for record in store.records():
        outputs = record.manifest["outputs"].values()
        known |= {facts["sha256"][:12] for entry in outputs for facts in entry["files"].values()}
        known |= {digest[:12] for digest in record.manifest["inputs"].values()}
    return [
        file
        for file in files
        if any(part[:12] not in known for part in file.stem.split("-") if part != "large")
    ]


def write_work_page(
    project: Project, root: Path, out: Path | None = None, *, standalone: bool = False
) -> Path:
    """The page of all subjects; ValueError where there are none.

    out: the file to write; links to artifacts are relative to it.
    standalone: thumbnails are in the page itself, which then may be sent to others (full-size pictures stay
    links).
    """
    page = out or root / FOLDER / "index.html"
    found = rows.of_work(project, root)
    if not found:
        raise CallError(f"{root} holds no subjects yet; start with `turnaround run PHOTO --work {root}`")
    thumbs = thumbs_of(root)
    document = Document(page, thumbs)
    subjects = [document.subject(row, root) for row in found]
    thumbs.make()
    extra = {"inlined": thumbs.inlined()} if standalone else {}
    return write_page(
        page, document.head("work", root.resolve().name) | {"subjects": subjects, "work": str(root)} | extra
    )
