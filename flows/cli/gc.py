"""The command `gc`: results that no subject uses go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli.options import (
    Work,
)


def gc(
    work: Work = Path("work"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> None:
    """Delete results that no subject uses any more.

    Damaged runs and what killed runs left behind go, too.
    """
    from turnaround.flows.show.garbage import collect

    typer.echo(collect(work, dry_run=dry_run))
