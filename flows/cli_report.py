"""The commands that show and compare results: `report` and `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.options import Work


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(report)


def report(
    work: Work = Path("work"),
    open_: Annotated[bool, typer.Option("--open", help="show it in the browser")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="file to write; WORK/report/index.html by default")] = None,
    standalone: Annotated[bool, typer.Option("--standalone", help="thumbnails inside the file, so that it can be sent")] = False,
) -> None:
    """A static page: every subject, every stage, side by side."""
    from flows.project import Project
    from flows.report import write_work_page

    page = write_work_page(Project(), work, out, standalone=standalone)
    typer.echo(str(page))
    if open_:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
