"""What a run leaves behind: runs/<time>_<config>/ with config.yaml, report.json, failures.json and
report.html."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnaround.flows.report import rows
from turnaround.flows.report.document import Document
from turnaround.flows.report.page import write_page
from turnaround.flows.report.work import thumbs_of

if TYPE_CHECKING:
    from turnaround.flows.runs.execute import Result
    from turnaround.pipeline.settings import Settings


def write(
    root: Path,
    settings: Settings,
    results: Sequence[Result],
    seconds: float,
    command: str,
    photos: Mapping[str, Path],
) -> Path:
    """Write the run's folder and return it."""
    import yaml

    folder = _new_folder(root / "runs", f"{time.strftime('%Y%m%d-%H%M%S')}_{settings.name}")
    failed = [result for result in results if not result.ok]
    (folder / "config.yaml").write_text(yaml.safe_dump(settings.dump(), sort_keys=False))
    summary = {
        "seconds": round(seconds, 2),
        "subjects": {r.subject: _summary(r) for r in results},
        "resume": command if failed else None,
    }
    _write_json(folder / "report.json", summary)
    _write_json(
        folder / "failures.json", [_summary(r) | {"subject": r.subject, "trace": r.trace} for r in failed]
    )
    write_run_page(root, folder / "report.html", results, seconds, command if failed else "", photos)
    return folder


def write_run_page(
    root: Path,
    page: Path,
    results: Sequence[Result],
    seconds: float,
    command: str,
    photos: Mapping[str, Path] | None = None,
) -> Path:
    """The page of one run: the subjects that it did, with what it made and what failed."""
    thumbs = thumbs_of(root)
    document = Document(page, thumbs)
    found = [document.subject(row, root) for row in rows.of_results(root, results, photos)]
    for values, result in zip(found, results, strict=True):
        values |= {"trace": result.trace} if result.trace else {}
    thumbs.make()
    head = document.head("run", page.parent.name)
    return write_page(page, head | {"subjects": found, "seconds": round(seconds, 2), "resume": command})


def _new_folder(parent: Path, name: str) -> Path:
    for attempt in range(1000):
        folder = parent / (name if attempt == 0 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / name}: too many runs in one second")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


def _summary(result: Result) -> dict[str, Any]:
    values: dict[str, Any] = {"photo": result.photo, "ok": result.ok, "stages": result.stages}
    return (
        values
        if result.ok
        else values | {"failed": result.failed, "fault": result.fault, "message": result.message}
    )
