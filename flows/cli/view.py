"""The command `view`: a subject in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli.options import (
    Subject,
    Work,
)


def view(
    subject: Subject,
    work: Work = Path("work"),
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="the next free one is taken where it is in use")
    ] = 8080,
    host: Annotated[
        str, typer.Option("--host", help="address to listen on; any but this machine's own lets others look")
    ] = "127.0.0.1",
    open_: Annotated[bool, typer.Option("--open/--no-open", help="open the browser")] = True,
) -> None:
    """Turn a subject in the browser.

    Gaussians, mesh, body and camera through the stages and the refinement; ends with Ctrl-C.
    """
    from turnaround.flows.viewer.serve import serve

    serve(work, subject, host=host, port=port, open_browser=open_, say=typer.echo)
