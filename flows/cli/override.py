"""The command `override`: a file of a person's own in the place of something computed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import (
    Device,
    Work,
)
from turnaround.pipeline.errors import CallError


def override(
    target: Annotated[
        str,
        typer.Argument(
            help="SUBJECT/STAGE/OUTPUT, e.g. alice/back_view/refined.png; SUBJECT alone lists",
            autocompletion=completion.outputs,
        ),
    ],
    file: Annotated[Path | None, typer.Argument(help="the file that takes its place")] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="take it back: what is computed counts again")
    ] = False,
    work: Work = Path("work"),
    device: Device = "auto",
) -> None:
    """Put a file of your own in the place of something computed.

    A mask, a body, a back view, Gaussians.

    It is copied into the work folder with where it came from; what needs it is STALE until the next run.
    SUBJECT/photo/mask, /body and /back stand for the files that may lie beside a photo.
    """
    from turnaround.flows.subjects import overrides as overriding
    from turnaround.flows.subjects.project import Project

    if "/" not in target:
        if file is not None or remove:
            raise CallError(
                f"{target!r}: expected SUBJECT/STAGE/OUTPUT; `turnaround override {target}` lists what can "
                f"be given"
            )
        typer.echo(overriding.listing(Project(), work, target))
    elif remove == (file is not None):
        raise CallError("give a FILE, or --remove")
    elif file is None:
        typer.echo(overriding.remove(Project(), work, target))
    else:
        typer.echo(overriding.override(Project(), work, target, file, device))
