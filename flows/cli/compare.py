"""The command `compare`: what is better or worse in one report than in another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli.options import (
    Json,
)


def compare(
    old: Annotated[Path, typer.Argument(help="a report of `evaluate --json`")],
    new: Annotated[
        Path | None,
        typer.Argument(help="another; without it, OLD's baselines and ablations against its full model"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="every figure, not only the main ones")] = False,
    json: Json = False,
) -> None:
    """What is better or worse in one report than in another.

    Mean differences over the same people, with 95 % bootstrap intervals.
    """
    from json import dumps

    from turnaround.flows.evaluation import compare as comparison

    first = comparison.load(old)
    if new is None:
        tables = comparison.against_full(first)
    else:
        tables = {"": comparison.compare(first, comparison.load(new), everything=everything)}
    if json:
        found = {name: comparison.as_json(rows) for name, rows in tables.items()}
        typer.echo(dumps(found[""] if new else found, indent=1))
        return
    for name, rows in tables.items():
        typer.echo(comparison.as_text(rows, ("full", name) if name else ("old", "new")))
