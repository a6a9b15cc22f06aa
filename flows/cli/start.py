"""The commands of the first minutes: `init` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from turnaround.flows.cli.options import Config, Json, Set, Work


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(doctor)


def init(
    file: Annotated[Path, typer.Argument(help="the file to write")] = Path("turnaround.yaml"),
    config: Config = "default",
    set_: Set = None,
) -> None:
    """Write a config file with every setting, commented out.

    Each has its meaning and its value; an existing file is left alone.
    """
    from turnaround.flows.show.template import write
    from turnaround.flows.subjects.project import Project

    typer.echo(write(file, Project().settings(config, set_ or ())))


def doctor(
    work: Work = Path("work"), config: Config = "default", set_: Set = None, json: Json = False
) -> None:
    """What this machine has, and what is in the way of a run.

    Backends, weights with licence and remedy, versions and disk.
    """
    from turnaround.flows.show.doctor import examine, render
    from turnaround.flows.subjects.project import Project

    found = examine(work, config, set_ or (), Project())
    typer.echo(render(found, as_json=json))
    raise typer.Exit(0 if found["ok"] else 1)
