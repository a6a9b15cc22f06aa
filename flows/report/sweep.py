"""The page of a sweep: a row a subject, a column a value of the setting, one chosen picture in every cell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnaround.flows.report import rows
from turnaround.flows.report.document import Document
from turnaround.flows.report.page import write_page
from turnaround.flows.report.rows import Row
from turnaround.flows.report.work import FOLDER, thumbs_of
from turnaround.pipeline.errors import CallError

if TYPE_CHECKING:
    from turnaround.flows.runs.execute import Result


def write_sweep(
    root: Path, variants: Mapping[str, Sequence[Result]], *, title: str = "", out: Path | None = None
) -> Path:
    """The page of results under several settings.

    variants: label ("strength=0.1") -> what `flows.running.run` returned under it, in the order of the
    columns. ValueError for none.
    """
    return _write(
        root, {label: rows.of_results(root, results) for label, results in variants.items()}, title, out
    )


def write_sweep_of_runs(
    root: Path, runs: Mapping[str, Path], *, title: str = "", out: Path | None = None
) -> Path:
    """The same from the folders of runs in the work folder `root`."""
    return _write(root, {label: rows.of_run(folder) for label, folder in runs.items()}, title, out)


def _write(root: Path, variants: Mapping[str, Sequence[Row]], title: str, out: Path | None) -> Path:
    names = list(dict.fromkeys(row.name for column in variants.values() for row in column))
    if not names:
        raise CallError("a sweep's page needs at least one subject")
    page = out or root / FOLDER / f"sweep-{time.strftime('%Y%m%d-%H%M%S')}.html"
    thumbs = thumbs_of(root)
    document = Document(page, thumbs)
    columns = [{row.name: document.subject(row, root) for row in column} for column in variants.values()]
    subjects = [{"name": name, "variants": [column.get(name) for column in columns]} for name in names]
    thumbs.make()
    head = document.head("sweep", title or " | ".join(variants))
    return write_page(
        page,
        head
        | {
            "labels": list(variants),
            "subjects": subjects,
            "first": _first_difference(head["stages"], subjects),
        },
    )


def _first_difference(stages: Sequence[str], subjects: Sequence[Mapping[str, Any]]) -> str:
    """The first stage whose settings made a difference: the one to look at first; the last stage where none
    did."""
    for stage in stages:
        for subject in subjects:
            keys = {values["cells"].get(stage, {}).get("key") for values in subject["variants"] if values}
            if len(keys - {None}) > 1:
                return stage
    return stages[-1] if stages else ""
