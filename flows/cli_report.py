"""The commands that show and compare results: `report` and `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import completing
from flows.options import Json, Subject, Work


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(report)
    app.command()(diff)
    app.command("open")(open_subject)


def report(
    work: Work = Path("work"),
    open_: Annotated[bool, typer.Option("--open", help="show it in the browser")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="file to write; in WORK/report/ by default")] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="RUN RUN", help="two of WORK/runs (the beginning of a name will do), or two work folders"),
    ] = None,
    standalone: Annotated[bool, typer.Option("--standalone", help="thumbnails inside the file, so that it can be sent")] = False,
) -> None:
    """Write a page of all subjects and stages, or of two runs.

    With --compare the page shows two runs and their difference.
    """
    import flows.report as pages
    from flows.project import Project

    if compare:
        page = pages.write_comparison(Project(), work, *compare, out, standalone=standalone)
    else:
        page = pages.write_work_page(Project(), work, out, standalone=standalone)
    typer.echo(str(page))
    if open_:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def diff(
    target: Annotated[str, typer.Argument(help="SUBJECT/STAGE", autocompletion=completing.targets)],
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY] [KEY]", help="by default the run before and the current one")] = None,
    work: Work = Path("work"),
    json: Json = False,
    out: Annotated[Path | None, typer.Option("--out", help="the picture of the difference; in WORK/report/ by default")] = None,
) -> None:
    """What differs between two runs of a stage, and a picture of it.

    Settings, inputs, weights, versions and outputs.
    """
    from json import dumps

    from flows.report import diff as differences

    if keys and len(keys) > 2:
        raise typer.BadParameter("at most two keys")
    facts, (old, new) = differences.diff(work, target, keys or ())
    sheet = differences.write_sheet(work, facts["subject"], old, new, out)
    facts["picture"] = str(sheet) if sheet else None
    typer.echo(dumps(facts, indent=1) if json else differences.as_text(facts))
    if sheet and not json:
        typer.echo(f"  {sheet}")


def open_subject(
    subject: Subject,
    work: Work = Path("work"),
    report: Annotated[bool, typer.Option("--report", help="the page of all subjects instead of the subject's folder")] = False,
) -> None:
    """Open a subject's folder, or the report, on the desktop.

    The path is printed, too: where there is no desktop that is all.
    """
    from flows import opening, subjects
    from flows.project import Project
    from pipeline.store import Store

    subjects.recall(work, subject)
    path = Store(work).subject(subject)
    if report:
        from flows.report import write_work_page

        path = write_work_page(Project(), work)
    typer.echo(str(path))
    opening.show(path)
