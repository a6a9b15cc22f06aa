"""The commands that show and compare results: `report` and `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import completing
from flows.options import Json, Work


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(report)
    app.command()(diff)


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
    """A static page: every subject, every stage, side by side; with --compare two runs and their difference."""
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
    """What differs between two runs of a stage: settings, inputs, weights, versions, outputs; and a picture of it."""
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
