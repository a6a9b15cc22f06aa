"""The command `diff`: what differs between two runs of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import (
    Json,
    Work,
)


def diff(
    target: Annotated[str, typer.Argument(help="SUBJECT/STAGE", autocompletion=completion.targets)],
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY] [KEY]", help="by default the run before and the current one"),
    ] = None,
    work: Work = Path("work"),
    json: Json = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="the picture of the difference; in WORK/report/ by default")
    ] = None,
) -> None:
    """What differs between two runs of a stage, and a picture of it.

    Settings, inputs, weights, versions and outputs.
    """
    from json import dumps

    from turnaround.flows.report import diff as differences

    if keys and len(keys) > 2:
        raise typer.BadParameter("at most two keys")
    facts, (old, new) = differences.diff(work, target, keys or ())
    sheet = differences.write_sheet(work, facts["subject"], old, new, out)
    facts["picture"] = str(sheet) if sheet else None
    typer.echo(dumps(facts, indent=1) if json else differences.as_text(facts))
    if sheet and not json:
        typer.echo(f"  {sheet}")
