"""The command `status`: how every subject stands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import (
    Json,
    Work,
)


def status(
    subject: Annotated[
        str | None,
        typer.Argument(
            help="a name or a pattern ('ali*'); all by default", autocompletion=completion.subjects
        ),
    ] = None,
    work: Work = Path("work"),
    stages: Annotated[bool, typer.Option("--long", "-l", help="every stage, every cause")] = False,
    json: Json = False,
) -> None:
    """How every subject stands: one line each.

    FRESH, MISSING, STALE or FAILED, how well the body fits the photo, how long it took, and the first
    trouble; with --long so for every stage.
    """
    from turnaround.flows.show.status import show_status
    from turnaround.flows.subjects.project import Project

    typer.echo(show_status(Project(), work, subject, as_json=json, stages=stages))
