"""The command `rerun`: stages again, and what needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import (
    Device,
    Set,
    Subjects,
    Until,
    Work,
)


def rerun(
    stage: Annotated[
        str | None,
        typer.Argument(
            help="the stage to do again; what is not FRESH by default", autocompletion=completion.stages
        ),
    ] = None,
    subject: Subjects = None,
    only: Annotated[
        bool, typer.Option("--only", help="that stage alone, nothing that comes after it")
    ] = False,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            autocompletion=completion.stages,
            help="do this stage and every one that needs it again, changed or not",
        ),
    ] = None,
    until: Until = None,
    set_: Set = None,
    work: Work = Path("work"),
    device: Device = "auto",
) -> None:
    """Do a stage again, with other settings, and what needs it.

    `rerun STAGE` computes STAGE anew; where it makes the same bytes, nothing after it is done. `rerun --from
    STAGE` computes STAGE and all that need it anew. `rerun` alone does what `status` does not call FRESH,
    under the settings of the last run. Each goes as far as --until; `--only` is `--until STAGE`.
    """
    from turnaround.flows.runs.rerun import Again, rerun_stage
    from turnaround.flows.subjects.project import Project

    again = Again.of(stage, first, until, only)
    results = rerun_stage(work, again, subject or [], tuple(set_ or ()), device, Project())
    raise typer.Exit(0 if all(result.ok for result in results) else 1)
