"""The command `train`: the trainings, each with options of its own."""

from __future__ import annotations

from typing import Annotated

import typer


def train(
    context: typer.Context, network: Annotated[str, typer.Argument(help="`turnaround train` names them")] = ""
) -> None:
    """Train a network.

    All further options are its own: `turnaround train hgm-coarse --help`.
    """
    from turnaround.flows.runs.training import find_training, overview

    if network in ("", "list", "--help", "-h"):
        typer.echo(overview())
        return
    find_training(network)(context.args)
