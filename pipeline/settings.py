"""Settings: yaml that holds only what differs, `--set a.b=value` on top, checked into frozen pydantic models.

The stages of a run have theirs in configs/presets/, trainings in configs/training/
(`models/training/settings.py`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from turnaround.pipeline.formats.untrusted import parse_yaml
from turnaround.pipeline.frozen import KIND, ConfigError, build, fields
from turnaround.pipeline.stage import Stage, StageConfig

__all__ = [
    "FOLDER",
    "ConfigError",
    "Settings",
    "assigned",
    "load_settings",
    "merged",
    "nearest",
    "presets",
    "read_config",
    "read_file",
    "renewed",
    "valid_keys",
]

FOLDER = Path(str(files("turnaround.configs"))) / "presets"

_LONGEST = 60  # characters of a preset's name
_STAGES = "stages"


class Settings:
    """Checked settings of every stage of a run."""

    def __init__(
        self, name: str, stages: Mapping[str, StageConfig], body: str, remote: str | None = None
    ) -> None:
        self.name, self.stages, self.body = name, dict(stages), body
        self.remote = remote  # URL of the store behind the work folder; enters no key

    def dump(self) -> dict[str, Any]:
        """Everything, as json."""
        store = {"store": {"remote": self.remote}} if self.remote else {}
        return {
            "body": self.body,
            **store,
            "stages": {name: config.model_dump(mode="json") for name, config in self.stages.items()},
        }

    def build(self, stages: Sequence[type[Stage[Any]]]) -> list[Stage[Any]]:
        """The stages with their settings."""
        return [stage(self.stages[stage.name]) for stage in stages]


def load_settings(
    config: str | Path, stages: Sequence[type[Stage[Any]]], overrides: Sequence[str] = ()
) -> Settings:
    """Settings of a preset (`default`) or a yaml file, with `a.b=value` overrides.

    The top-level `body` (the body model: an embedded weight or a file) is given to every stage that has a
    setting of that name. ConfigError for unknown keys, keys that moved, and values that do not fit.
    """
    values = read_config(config)
    known = {
        "body": None,
        "store": {"remote": None},
        _STAGES: {stage.name: stage.Config for stage in stages},
    }
    for override in overrides:
        values = assigned(values, override)
    check_keys(values, known, moved_keys(stages))
    body, given = values.get("body", "body"), values.get(_STAGES) or {}
    if not isinstance(body, str):
        raise ConfigError(f"body: expected an embedded weight's name or a file, got {body!r}")
    if not isinstance(given, Mapping):
        raise ConfigError(f"stages: expected names of stages with their settings, got {given!r}")
    store = values.get("store") or {}
    remote = store.get("remote") if isinstance(store, Mapping) else store
    if remote is not None and not (isinstance(remote, str) and isinstance(store, Mapping)):
        raise ConfigError(f"store.remote: expected a URL such as s3://bucket/prefix, got {remote!r}")
    made = {stage.name: _make(stage, given.get(stage.name) or {}, body) for stage in stages}
    return Settings(Path(config).stem, made, body, remote)


def _make(stage: type[Stage[Any]], values: Any, body: str) -> StageConfig:
    if isinstance(values, Mapping) and "body" in stage.Config.model_fields:
        values = {"body": body, **values}
    return build(stage.Config, values, f"{_STAGES}.{stage.name}")


def presets() -> list[str]:
    """The names of the presets that ship with the package."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def read_config(config: str | Path) -> dict[str, Any]:
    """The raw values of a preset or file, merged over what it `extends`; ConfigError names the file at
    fault."""
    return read_file(_located(config), _preset)


def _located(config: str | Path) -> Path:
    path = Path(config)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise ConfigError(f"config file {path} does not exist")
    return _preset(str(config))


def _preset(name: str) -> Path:
    file = FOLDER / f"{name}.yaml"
    if not file.is_file():
        known = presets()
        raise ConfigError(
            f"no preset is called {name!r}{nearest(name, known)}; there are {', '.join(known)}, or give a "
            f".yaml file"
        )
    return file


def read_file(file: Path, elsewhere: Callable[[str], Path], chain: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a yaml or json file, merged over those of the file that it `extends`.

    Args:
        elsewhere: from the name of a file that does not lie beside this one to that file.

    Raises:
        ConfigError: names the file at fault.
    """
    if file in chain:
        raise ConfigError(
            f"configs extend each other in a circle: {' -> '.join(p.stem for p in (*chain, file))}"
        )
    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if file.suffix == ".json" else deepcopy(_parsed(text)) or {}
    except OSError as error:
        raise ConfigError(f"config file {file} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ConfigError(f"{file} is not yaml: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: expected keys and values, got {type(values).__name__}")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str) or Path(parent).name != parent or "\\" in parent or len(parent) > _LONGEST:
        raise ConfigError(f"{file}: extends: expected the name of one preset, got {str(parent)[:_LONGEST]!r}")
    beside = file.parent / f"{parent}.yaml"
    base = read_file(beside if beside.is_file() else elsewhere(parent), elsewhere, (*chain, file))
    return merged(base, values)


@lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """One preset serves many subjects; reading yaml is the slowest part of telling a subject's status."""
    return parse_yaml(text)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `base` with those of `over` in their place, inside of settings, too.

    A word stands for the kind of the settings that it meets, and another kind begins with its own defaults.
    """
    made = dict(base)
    for name, value in over.items():
        made[name] = _over(made.get(name), value)
    return made


def _over(before: Any, value: Any) -> Any:
    if isinstance(before, Mapping) and (value is None or (KIND in before and before[KIND] == value)):
        return before  # `stages:` with nothing below changes nothing, nor does the kind that is there
    if not isinstance(value, Mapping):
        return value
    under = {KIND: before} if isinstance(before, str) else before
    if not isinstance(under, Mapping) or value.get(KIND, under.get(KIND)) != under.get(KIND):
        under = {}
    return merged(under, value)


def assigned(
    values: Mapping[str, Any], override: str, example: str = "stages.refine.fit.iterations=90"
) -> dict[str, Any]:
    """The values with `a.b.c=value`; the value is yaml."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override!r}: expected key=value, e.g. {example}")
    try:
        value = parse_yaml(text) if text else ""
    except ValueError as error:
        raise ConfigError(f"--set {key}: {text!r} is not a yaml value: {error}") from error
    names = key.strip().split(".")
    return _put(values, names, value)


def _put(values: Mapping[str, Any], names: Sequence[str], value: Any) -> dict[str, Any]:
    name, *deeper = names
    before = values.get(name)
    if not deeper:
        if name == KIND and before != value:
            return {KIND: value}
        kept = isinstance(before, Mapping) and KIND in before and before[KIND] == value
        return {**values, name: before if kept else value}
    under = before if isinstance(before, Mapping) else {KIND: before} if isinstance(before, str) else {}
    return {**values, name: _put(under, deeper, value)}


def check_keys(
    values: Mapping[str, Any],
    known: Mapping[str, Any],
    moved: Mapping[str, str] = MappingProxyType({}),
    lists: str = "turnaround config",
) -> None:
    """ConfigError for the first key that is not `known`: where it has `moved`, else the nearest one and what
    `lists` all."""
    valid = set(valid_keys(known))
    for key in _given_keys(values, known):
        if key in moved:
            raise ConfigError(f"the setting {key!r} is now {moved[key]!r}")
        if key not in valid:
            raise ConfigError(f"unknown setting {key!r}{nearest(key, sorted(valid))}; `{lists}` lists all")


def moved_keys(stages: Sequence[type[Stage[Any]]]) -> dict[str, str]:
    """Dotted names of all settings that were -> what they are called now."""
    return {
        f"{_STAGES}.{stage.name}.{old}": f"{_STAGES}.{stage.name}.{new}"
        for stage in stages
        for old, new in stage.moved.items()
    }


def renewed(overrides: Sequence[str], stages: Sequence[type[Stage[Any]]]) -> tuple[str, ...]:
    """Overrides that a work folder remembers, by the names that their settings have now."""
    moved = moved_keys(stages)
    split = [text.partition("=") for text in overrides]
    kept = ["".join(parts) for parts in split if parts[0] not in moved]
    return (*kept, *(f"{moved[key]}={text}" for key, _, text in split if key in moved))


def valid_keys(known: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings; `known` maps names to None, to a model, to several of which one is
    chosen, or to further names."""
    for name, entry in _children(known).items():
        yield f"{prefix}{name}"
        yield from valid_keys(entry, f"{prefix}{name}.")


def _children(entry: Any) -> Mapping[str, Any]:
    if isinstance(entry, type) and issubclass(entry, BaseModel):
        return fields((entry,))
    if isinstance(entry, tuple):
        return fields(entry)
    return entry if isinstance(entry, Mapping) else {}


def _given_keys(values: Mapping[str, Any], known: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names that were given; inside a setting that is itself a mapping nothing is checked here."""
    children = _children(known)
    for name, value in values.items():
        inside = _children(children.get(name))
        if isinstance(value, Mapping) and inside:
            yield from _given_keys(value, children[name], f"{prefix}{name}.")
        elif value is None and inside:
            continue  # `stages:` with nothing below
        else:
            yield f"{prefix}{name}"


def nearest(key: str, valid: Sequence[str]) -> str:
    """ ": did you mean 'x'?" of the valid name that is nearest to a key; nothing where none is near."""
    last = [name for name in valid if name.split(".")[-1] == key.split(".")[-1] and name != key]
    near = difflib.get_close_matches(key, valid, 1, 0.6) or last[:1]
    return f": did you mean {near[0]!r}?" if near else ""
