"""The commands that show and compare results: `report` and `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from turnaround.flows.cli import completion
from turnaround.flows.cli.options import Json, Subject, Work


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(report)
    app.command()(diff)
    app.command("open")(open_subject)


def report(
    work: Work = Path("work"),
    open_: Annotated[bool, typer.Option("--open", help="show it in the browser")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="file to write; in WORK/report/ by default")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="RUN RUN",
            help="two of WORK/runs (the beginning of a name will do), or two work folders",
        ),
    ] = None,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="thumbnails inside the file, so that it can be sent")
    ] = False,
) -> None:
    """Write a page of all subjects and stages, or of two runs.

    With --compare the page shows two runs and their difference.
    """
    import turnaround.flows.report as pages
    from turnaround.flows.subjects.project import Project

    if compare:
        page = pages.write_comparison(Project(), work, *compare, out, standalone=standalone)
    else:
        page = pages.write_work_page(Project(), work, out, standalone=standalone)
    typer.echo(str(page))
    if open_:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


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


def open_subject(
    subject: Subject,
    work: Work = Path("work"),
    report: Annotated[
        bool, typer.Option("--report", help="the page of all subjects instead of the subject's folder")
    ] = False,
) -> None:
    """Open a subject's folder, or the report, on the desktop.

    The path is printed, too: where there is no desktop that is all.
    """
    from turnaround.flows.show import opener
    from turnaround.flows.subjects import memory
    from turnaround.flows.subjects.project import Project
    from turnaround.pipeline.store.store import Store

    memory.recall(work, subject)
    path = Store(work).subject(subject)
    if report:
        from turnaround.flows.report import write_work_page

        path = write_work_page(Project(), work)
    typer.echo(str(path))
    opener.show(path)
