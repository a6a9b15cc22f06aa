"""The command `sweep`: subjects under every combination of some settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import (
    Device,
    Json,
    Until,
    Work,
    Workers,
)


def sweep(
    subject: Annotated[
        list[str] | None,
        typer.Argument(help="names or patterns ('ali*'); all by default", autocompletion=completion.subjects),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE,VALUE,...; again for every combination")
    ] = None,
    until: Until = None,
    work: Work = Path("work"),
    device: Device = "auto",
    workers: Workers = 0,
    json: Json = False,
) -> None:
    """Try combinations of settings, side by side on a page.

    The subjects themselves stay as they are.

    `--set stages.refine.fit.iterations=15,45,90 --set stages.mesh.faces=20000,60000` makes six variants.
    Only the stages that differ are computed. Commas within brackets belong to a value:
    `stages.prepare.matting.labels=[person],[person,dress]`. A variant is adopted with
    `turnaround rerun -s SUBJECT --set ...`, which finds it computed; what is not adopted
    goes with `turnaround gc`.
    """
    from json import dumps

    from turnaround.flows import report
    from turnaround.flows.runs.summary import sweep_json
    from turnaround.flows.runs.sweep import sweep as sweep_all
    from turnaround.flows.subjects.project import Project

    results = sweep_all(
        Project(), work, subject or [], set_ or [], device=device, until=until, workers=workers
    )
    failed = [(label, result) for label, all_ in results.items() for result in all_ if not result.ok]
    for label, result in failed:
        typer.echo(f"FAILED {label}: {result.subject}/{result.failed}: {result.message}", err=True)
    page = report.write_sweep(work, results, title=", ".join(set_ or []))
    typer.echo(dumps(sweep_json(results, page), indent=1) if json else str(page))
    raise typer.Exit(1 if failed else 0)
