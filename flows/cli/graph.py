"""The command `graph`: the stages and what they hand on."""

from __future__ import annotations

from typing import Annotated

import typer

from turnaround.flows.cli.options import (
    Json,
)


def graph(
    markdown: Annotated[bool, typer.Option("--markdown", help="the README's table")] = False,
    json: Json = False,
) -> None:
    """Draw the stages: what each needs and makes."""
    from turnaround.flows.show.declarations import graph_json, graph_markdown, graph_text
    from turnaround.flows.subjects.project import Project

    typer.echo((graph_json if json else graph_markdown if markdown else graph_text)(Project().classes()))
