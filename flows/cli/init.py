"""The command `init`: a config file with every setting, commented out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli.options import (
    Config,
    Set,
)


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
