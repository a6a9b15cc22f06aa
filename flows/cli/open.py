"""The command `open`: a subject's folder, or the report, on the desktop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli.options import (
    Subject,
    Work,
)


def open_subject(
    subject: Subject,
    work: Work = Path("work"),
    report: Annotated[
        bool, typer.Option("--report", help="the page of all subjects instead of the subject's folder")
    ] = False,
) -> None:
    """Open a subject's folder, or the report, on the desktop.

    The path is printed, too: where there is no desktop that is all.
    """
    from turnaround.flows.show import opener
    from turnaround.flows.subjects import memory
    from turnaround.flows.subjects.project import Project
    from turnaround.pipeline.store.store import Store

    memory.recall(work, subject)
    path = Store(work).subject(subject)
    if report:
        from turnaround.flows.report import write_work_page

        path = write_work_page(Project(), work)
    typer.echo(str(path))
    opener.show(path)
