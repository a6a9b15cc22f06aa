"""`init`: a config file that names every setting with what it means and its value in a preset, all of it
commented out."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from turnaround.pipeline.frozen import KIND, kinds_of, members
from turnaround.pipeline.settings import ConfigError, Settings

_WIDTH = 110


def write(file: Path, settings: Settings) -> str:
    """Write the file; ConfigError where there is one already or it cannot be written. Says what to do with
    it."""
    if file.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{file}: a config file is called NAME.yaml")
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError as error:
        raise ConfigError(f"{file} exists already and is left as it is; give another name") from error
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written ({error.strerror}); give a path in a folder that is there and yours"
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text(settings, file))
    return (
        f"{file}: every setting of {settings.name}, commented out\nUse it with: turnaround run PHOTO "
        f"--config {file}"
    )


def text(settings: Settings, file: Path = Path("turnaround.yaml")) -> str:
    """The content: what is uncommented changes the preset that the file extends, and nothing else does."""
    lines = [
        f"# Settings of Turnaround: turnaround run PHOTO --config {file}",
        "# Every setting is here with its value in the preset below: take away its `# ` and change it. Lines "
        "with ## say what it means.",
        f"extends: {settings.name}",
        "",
        "## body model of all stages: the free one, or the path of SMPLX_NEUTRAL.npz",
        f"# body: {_value(settings.body)}",
        "",
        "stages:",
    ]
    for name, config in settings.stages.items():
        lines += ["", f"  {name}:"]
        lines += _lines(config, "    ")
    return "\n".join(lines) + "\n"


def _lines(config: BaseModel, indent: str, kinds: Sequence[str] = ()) -> Iterator[str]:
    """Every field with its meaning, commented out; those of settings inside of it below their name.

    kinds: the words that its field `kind` may have.
    """
    values = config.model_dump(mode="json")
    for key, field in type(config).model_fields.items():
        value = getattr(config, key)
        possible = kinds if key == KIND else get_args(field.annotation)
        yield from (f"{indent}## {line}" for line in _meaning(field, possible))
        if isinstance(value, BaseModel):
            yield f"{indent}{key}:"
            inside = [kind for model in members(field.annotation) for kind in kinds_of(model)]
            yield from _lines(value, f"{indent}  ", inside)
        else:
            hidden = "" if key == KIND else "# "  # settings that are uncommented below it are of this kind
            yield f"{indent}{hidden}{key}: {_value(values[key])}"


def _meaning(field: FieldInfo, possible: Sequence[Any]) -> list[str]:
    """The description, with the values that are possible."""
    words = field.description or "not described"
    if get_origin(field.annotation) is Literal:
        words += f" (one of {', '.join(map(str, possible))})"
    limits = [f"{sign} {limit}" for rule in field.metadata for sign, limit in _limits(rule)]
    if limits:
        words += f" ({', '.join(limits)})"
    return textwrap.wrap(words, _WIDTH)


def _limits(rule: Any) -> list[tuple[str, Any]]:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return [
        (sign, getattr(rule, name)) for name, sign in signs.items() if getattr(rule, name, None) is not None
    ]


def _value(value: Any) -> str:
    """A value on one line of yaml."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
        .removesuffix("...\n")
        .strip()
    )
