"""The commands that measure quality: `evaluate` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.options import Config, Device, Json, Set, Work


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(evaluate)
    app.command()(compare)


def evaluate(
    suite: Annotated[
        str, typer.Option("--suite", help="people-test, people-varied, a folder of views, or real scans as LAYOUT:FOLDER")
    ] = "people-test",
    limit: Annotated[int, typer.Option("--limit", min=1, help="how many of them")] = 24,
    json: Annotated[Path | None, typer.Option("--json", help="write the report here, anew after each person")] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="headline, or hgm: also the released HGM script's figures")] = "headline",
    ablations: Annotated[bool, typer.Option("--ablations", help="also without each part")] = False,
    matting: Annotated[bool, typer.Option("--matting/--no-matting", help="also the mask over held-out backgrounds")] = True,
    resolution: Annotated[int, typer.Option("--resolution", min=32, help="pixels of the compared views")] = 256,
    workers: Annotated[int, typer.Option("--workers", min=1, help="people at a time, each in a process of its own")] = 1,
    against: Annotated[Path | None, typer.Option("--compare", help="an earlier report: also say what is better and worse")] = None,
    config: Config = "default",
    set_: Set = None,
    work: Work = Path("work/evaluate"),
    device: Device = "auto",
) -> None:
    """Measure quality on people whose truth is known, through the same stages as `run`; a stopped one goes on."""
    from json import dumps

    from flows.evaluate import evaluate as run_suite
    from flows.evaluation import compare as comparison

    earlier = comparison.load(against) if against else None

    def told(done: int, total: int, line: str) -> None:
        typer.echo(f"{done} of {total}: {line}", err=True)

    report = run_suite(
        suite, limit, json, config=config, overrides=set_ or (), work=work, device=device, protocol=protocol, ablations=ablations,
        matting=matting, size=resolution, workers=workers, progress=told,
    )  # fmt: skip
    typer.echo(dumps({name: value for name, value in report.items() if name != "subjects"}, indent=1))
    typer.echo(f"pictures: {work / 'evaluation' / 'index.html'}", err=True)
    if earlier:
        typer.echo(comparison.as_text(comparison.compare(earlier, report)), err=True)
    if report["failed"]:
        raise typer.Exit(1)


def compare(
    old: Annotated[Path, typer.Argument(help="a report of `evaluate --json`")],
    new: Annotated[Path | None, typer.Argument(help="another; without it, OLD's baselines and ablations against its full model")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every figure, not only the main ones")] = False,
    json: Json = False,
) -> None:
    """What is better or worse in one report than in another: mean differences over the same people, 95 % bootstrap intervals."""
    from json import dumps

    from flows.evaluation import compare as comparison

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
