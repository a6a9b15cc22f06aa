"""The command `bench`: times and memory of every part, by ratios taken in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.pipeline.errors import CallError


def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help="splat, refinement, networks, landmarks, pipeline, animation, startup; all by default"
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="fewer rounds and smaller cases")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Measure the time of every part on this machine."""
    import logging
    from json import dumps

    try:
        from benchmarks import suite
    except ModuleNotFoundError as error:
        raise CallError(
            "the benchmarks are no part of the package: run this in a checkout of the repository"
        ) from error

    logging.getLogger("benchmarks").setLevel(logging.INFO)
    results = suite.measure_all(parts or [], quick)
    if json:
        json.write_text(dumps(results, indent=1) + "\n")
    typer.echo(suite.as_text(results))
