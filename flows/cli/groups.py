"""How `--help` lists the commands: in groups, by what a person wants to do."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

GROUPS = {
    "Make": ("run", "export", "animate", "pose"),
    "Look": ("status", "view", "open", "report", "inspect", "why", "diff", "graph"),
    "Change": ("rerun", "override", "sweep", "config", "init"),
    "Measure and train": ("evaluate", "compare", "bench", "train", "data"),
    "Keep house": ("doctor", "fetch", "verify", "gc", "server"),
}


class Grouped(TyperGroup):
    """A group of commands whose help has a heading for each of GROUPS."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section a group; what is in no group comes last."""
        named = {name for names in GROUPS.values() for name in names}
        rest = tuple(name for name in self.list_commands(ctx) if name not in named)
        width = max(map(len, self.list_commands(ctx)))
        for heading, names in {**GROUPS, "Other": rest}.items():
            found = [
                (name, command) for name in names if (command := self.get_command(ctx, name)) is not None
            ]
            if not found:
                continue
            limit = formatter.width - 6 - width
            with formatter.section(heading):
                formatter.write_dl(
                    [(f"{name:{width}}", command.get_short_help_str(limit)) for name, command in found]
                )
