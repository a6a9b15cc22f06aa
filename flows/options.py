"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Work = Annotated[Path, typer.Option("--work", help="folder of all results")]
Set = Annotated[list[str] | None, typer.Option("--set", help="a setting, e.g. stages.back_view.seed=7; again for more")]
Config = Annotated[str, typer.Option("--config", help="preset in configs/ (default, tiny, paper) or a yaml file")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N")]
Runner = Annotated[str, typer.Option("--runner", help="threads, processes, dask or ray")]
Workers = Annotated[int, typer.Option("--workers", min=0, help="photos at a time; 0 = by the cores")]
Direct = Annotated[bool, typer.Option("--direct", help="without Prefect")]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
