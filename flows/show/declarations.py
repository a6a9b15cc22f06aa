"""Texts made from the declarations of the stages: the graph, the README's table, the settings."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from turnaround.pipeline.settings import Settings
from turnaround.pipeline.stage import PHOTO, Stage

_WHERE = {"gpu": "on a GPU where there is one", "cpu": "on the CPU"}


def graph_text(classes: Sequence[type[Stage[Any]]]) -> str:
    """Draw the stages, each with what it takes from the ones above it, then list what each needs and
    makes."""
    lines = [*drawing(classes), ""]
    for number, stage in enumerate(classes, 1):
        lines.append(
            f"{number:02d} {stage.name} (version {stage.version}, {_WHERE[stage.device]}): {_summary(stage)}"
        )
        lines += [f"     needs {need}" for need in stage.needs.values()]
        lines += [f"     makes {output}: {kind}" for output, kind in stage.makes.items()]
    return "\n".join(lines)


def drawing(classes: Sequence[type[Stage[Any]]]) -> list[str]:
    """Draw a row a stage: its results go down a line of their own from the corner, and a dot is where a stage
    takes some.

    photo      ─┐
    prepare    ─●─┐
    estimate   ─●─●─┐
    coarse      │─●─●─┐
    """
    takes = {stage.name: {need.split(".")[0] for need in stage.needs.values()} for stage in classes}
    names = [PHOTO, *takes]
    last = {
        name: max((row for row, other in enumerate(names) if name in takes.get(other, ())), default=-1)
        for name in names
    }
    width = max(len(name) for name in names)
    rows: list[str] = []
    for row, name in enumerate(names):
        wanted = takes.get(name, set())
        first = next((column for column, other in enumerate(names[:row]) if other in wanted), row)
        cells = [
            _cell(column, first, other in wanted, last[other] >= row)
            for column, other in enumerate(names[:row])
        ]
        own = ("─┐" if last[name] > row else "─○") if row >= first else ""
        what = _summary(classes[row - 1]) if row else "the picture, and what lies beside it"
        rows.append(
            (f"{row:02d} {name:{width}} " if row else f"   {name:{width}} ")
            + "".join(cells)
            + own
            + "\0"
            + what
        )
    widest = max(len(text.partition("\0")[0]) for text in rows)
    return [f"{left:{widest}}  {what}" for left, _, what in (text.partition("\0") for text in rows)]


def _cell(column: int, first: int, taken: bool, alive: bool) -> str:
    """One crossing of a stage's row with the line of an earlier one."""
    wire = "─" if column >= first else " "
    return wire + ("●" if taken else "│" if alive else wire)


def graph_json(classes: Sequence[type[Stage[Any]]]) -> str:
    """Give the declarations in the form of `graph --json` (docs/commands.md)."""
    rows = {
        stage.name: {
            "number": number,
            "version": stage.version,
            "summary": _summary(stage),
            "needs": dict(stage.needs),
            "makes": dict(stage.makes),
            "gpu": stage.device == "gpu",
        }
        for number, stage in enumerate(classes, 1)
    }
    return json.dumps({"stages": rows}, indent=1)


def graph_markdown(classes: Sequence[type[Stage[Any]]]) -> str:
    """The README's table."""
    rows = ["| # | stage | what it does | needs | makes |", "|---|---|---|---|---|"]
    for number, stage in enumerate(classes, 1):
        needs, makes = (
            ", ".join(f"`{name}`" for name in names) for names in (stage.needs.values(), stage.makes)
        )
        rows.append(f"| {number:02d} | `{stage.name}` | {_summary(stage)} | {needs} | {makes} |")
    return "\n".join(rows)


def _summary(stage: type[Stage[Any]]) -> str:
    return (inspect.getdoc(stage) or "").split("\n")[0].rstrip(".")


def settings_yaml(settings: Settings) -> str:
    """All settings as yaml that `--config` accepts."""
    import yaml

    return yaml.safe_dump(settings.dump(), sort_keys=False).rstrip()


def settings_described(settings: Settings) -> str:
    """One line for each setting, those inside of others too: name, value, meaning."""
    lines = [
        f"body = {settings.body}  # body model of all stages: the free one, or the path of SMPLX_NEUTRAL.npz"
    ]
    for name, config in settings.stages.items():
        lines += _described(config, f"stages.{name}")
    return "\n".join(lines)


def _described(config: BaseModel, where: str) -> Iterator[str]:
    for key, field in type(config).model_fields.items():
        value, meaning = getattr(config, key), field.description or "not described"
        if isinstance(value, BaseModel):
            yield f"{where}.{key}:  # {meaning}"
            yield from _described(value, f"{where}.{key}")
        else:
            yield f"{where}.{key} = {value!r}  # {meaning}"
