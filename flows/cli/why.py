"""The command `why`: what a stage would run again for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import (
    Json,
    Work,
)


def why(
    target: Annotated[str, typer.Argument(help="SUBJECT/STAGE", autocompletion=completion.targets)],
    work: Work = Path("work"),
    json: Json = False,
) -> None:
    """Why a stage would run again: what changed, old -> new."""
    from turnaround.flows.show.causes import show_why
    from turnaround.flows.subjects.project import Project

    typer.echo(show_why(Project(), work, target, as_json=json))
