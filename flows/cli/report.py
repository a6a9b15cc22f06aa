"""The command `report`: a page of all subjects, or of two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli.options import (
    Work,
)


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
