"""The command `inspect`: the files and facts of a subject."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import (
    Json,
    Work,
)


def inspect(
    target: Annotated[
        str, typer.Argument(help="SUBJECT or SUBJECT/STAGE", autocompletion=completion.targets)
    ],
    work: Work = Path("work"),
    json: Json = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="compare the bytes of every file with its digest")
    ] = False,
) -> None:
    """Files, sizes, digests, seconds and settings of a subject."""
    from turnaround.flows.show.inspection import show_inspect
    from turnaround.flows.subjects.project import Project

    text, intact = show_inspect(Project(), work, target, as_json=json, verify=verify)
    typer.echo(text)
    raise typer.Exit(0 if intact else 1)
