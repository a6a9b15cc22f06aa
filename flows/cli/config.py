"""The command `config`: the settings of a preset."""

from __future__ import annotations

from typing import Annotated

import typer

from turnaround.flows.cli.options import (
    Config,
    Set,
)


def config(
    config: Config = "default",
    set_: Set = None,
    described: Annotated[bool, typer.Option("--describe")] = False,
) -> None:
    """Every setting of a preset, as yaml or with its meaning."""
    from turnaround.flows.show.declarations import settings_described, settings_yaml
    from turnaround.flows.subjects.project import Project

    project = Project()
    settings = project.settings(config, set_ or ())
    typer.echo(settings_described(settings) if described else settings_yaml(settings))
