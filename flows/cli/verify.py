"""The command `verify`: every file against its digest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import (
    Json,
    Work,
)


def verify(
    subject: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=completion.subjects,
            help="whose current results, names or patterns ('ali*'); all of the cache by default",
        ),
    ] = None,
    work: Work = Path("work"),
    keep: Annotated[
        bool, typer.Option("--keep", help="only look: leave damaged runs where they are")
    ] = False,
    json: Json = False,
) -> None:
    """Compare every file with its digest.

    Exit 1 where one is damaged. Damaged runs are set aside, and `run` makes them again.
    """
    from turnaround.flows.show.verification import as_json, as_text
    from turnaround.flows.show.verification import verify as compare

    def told(done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done} of {total} runs" + ("\n" if done == total else ""))

    report = compare(work, subject or [], repair=not keep, told=told)
    typer.echo(as_json(report) if json else as_text(report))
    raise typer.Exit(0 if report.intact else 1)
