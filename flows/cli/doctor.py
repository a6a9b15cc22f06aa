"""The command `doctor`: this machine and what is in the way of a run."""

from __future__ import annotations

from pathlib import Path

import typer

from turnaround.flows.cli.options import (
    Config,
    Json,
    Set,
    Work,
)


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
