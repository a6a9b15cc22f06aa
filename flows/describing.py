"""Texts made from the declarations of the stages: the graph, the README's table, the settings."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from pipeline.config import Settings
from pipeline.stage import Stage


def graph_text(classes: Sequence[type[Stage[Any]]]) -> str:
    """A few lines for each stage."""
    lines = []
    for number, stage in enumerate(classes, 1):
        lines.append(f"{number:02d} {stage.name} (version {stage.version}, {stage.device}): {_summary(stage)}")
        lines += [f"     needs {need}" for need in stage.needs.values()]
        lines += [f"     makes {output}: {kind}" for output, kind in stage.makes.items()]
    return "\n".join(lines)


def graph_markdown(classes: Sequence[type[Stage[Any]]]) -> str:
    """The README's table."""
    rows = ["| # | stage | what it does | needs | makes |", "|---|---|---|---|---|"]
    for number, stage in enumerate(classes, 1):
        needs, makes = (", ".join(f"`{name}`" for name in names) for names in (stage.needs.values(), stage.makes))
        rows.append(f"| {number:02d} | `{stage.name}` | {_summary(stage)} | {needs} | {makes} |")
    return "\n".join(rows)


def _summary(stage: type[Stage[Any]]) -> str:
    return (inspect.getdoc(stage) or "").split("\n")[0].rstrip(".")


def settings_yaml(settings: Settings) -> str:
    """All settings as yaml that `--config` accepts."""
    import yaml

    return yaml.safe_dump(settings.dump(), sort_keys=False).rstrip()


def settings_described(settings: Settings) -> str:
    """One line for each setting: name, value, meaning."""
    lines = [f"body = {settings.body}  # body model of all stages: the free one, or the path of SMPLX_NEUTRAL.npz"]
    for name, config in settings.stages.items():
        for key, field in type(config).model_fields.items():
            lines.append(f"stages.{name}.{key} = {getattr(config, key)!r}  # {field.description or 'not described'}")
    return "\n".join(lines)
