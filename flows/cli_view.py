"""The commands that show one subject: `view` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.options import Subject, Work


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(view)
    app.command()(export)


def view(
    subject: Subject,
    work: Work = Path("work"),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="the next free one is taken where it is in use")] = 8080,
    host: Annotated[str, typer.Option("--host", help="address to listen on; any but this machine's own lets others look")] = "127.0.0.1",
    open_: Annotated[bool, typer.Option("--open/--no-open", help="open the browser")] = True,
) -> None:
    """Turn a subject in the browser.

    Gaussians, mesh, body and camera through the stages and the refinement; ends with Ctrl-C.
    """
    from flows.viewer.serve import serve

    serve(work, subject, host=host, port=port, open_browser=open_, say=typer.echo)


def export(
    subject: Subject,
    to: Annotated[str, typer.Option("--to", help="ply, splat, spz, glb, obj, mp4 or html")],
    out: Annotated[Path | None, typer.Option("--out", help="file, or folder for SUBJECT.ply; here by default")] = None,
    texture: Annotated[int | None, typer.Option("--texture", help="texels of a side: 1024, 2048 or 4096 (glb, obj)", metavar="N")] = None,
    height: Annotated[float | None, typer.Option("--height", help="of the person upright, in metres (glb, obj, ply, splat, spz)")] = None,
    gaussians: Annotated[
        int | None, typer.Option("--gaussians", help="at most so many, those that show most (ply, splat, spz, html)")
    ] = None,
    work: Work = Path("work"),
) -> None:
    """Write a result for other programs; html is one page that shows the person in 3D without a network."""
    from flows.exporting import Changes, export_file, warn_of_stale
    from flows.project import Project

    written = export_file(work, subject, to, out, Changes(texture, height, gaussians))
    warn_of_stale(Project(), work, subject, written)
    typer.echo(str(written))
