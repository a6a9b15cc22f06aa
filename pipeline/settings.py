"""Settings: yaml in configs/presets/ that holds only what differs, `--set a.b=value` on top, checked into
frozen pydantic."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from turnaround.pipeline.errors import TurnaroundError
from turnaround.pipeline.formats.untrusted import parse_yaml
from turnaround.pipeline.stage import Stage, StageConfig

FOLDER = Path(str(files("turnaround.configs"))) / "presets"

_LONGEST = 60  # characters of a preset's name


class ConfigError(TurnaroundError, ValueError):
    """A setting that does not exist or does not fit: names it, and the nearest one that exists."""


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
    setting of that name. ConfigError for unknown keys and values that do not fit.
    """
    values = read_config(config)
    known = {
        "body": None,
        "store": {"remote": None},
        "stages": {stage.name: stage.Config for stage in stages},
    }
    for override in overrides:
        _assign(values, override)
    _check_keys(values, known)
    body, given = values.get("body", "body"), values.get("stages") or {}
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


def read_config(config: str | Path) -> dict[str, Any]:
    """The raw values of a preset or file, merged over what it `extends`; ConfigError names the file at
    fault."""
    return _read(_locate(config), ())


def presets() -> list[str]:
    """The names of the presets that ship with the package."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def _locate(config: str | Path) -> Path:
    path = Path(config)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise ConfigError(f"config file {path} does not exist")
    preset = FOLDER / f"{config}.yaml"
    if not preset.is_file():
        known = presets()
        raise ConfigError(
            f"no preset is called {str(config)!r}{_nearest(str(config), known)}; there are "
            f"{', '.join(known)}, or give a .yaml file"
        )
    return preset


def _read(file: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    if file in chain:
        raise ConfigError(
            f"configs extend each other in a circle: {' -> '.join(p.stem for p in (*chain, file))}"
        )
    try:
        values = deepcopy(_parsed(file.read_text(encoding="utf-8"))) or {}
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
    return _merge(_read(beside if beside.is_file() else _locate(parent), (*chain, file)), values)


@lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """One preset serves many subjects; reading yaml is the slowest part of telling a subject's status."""
    return parse_yaml(text)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if value is None and isinstance(merged.get(key), Mapping):
            continue  # `stages:` with nothing below changes nothing
        before = merged.get(key)
        merged[key] = (
            _merge(before, value) if isinstance(value, Mapping) and isinstance(before, Mapping) else value
        )
    return merged


def _assign(values: dict[str, Any], override: str) -> None:
    """Set `a.b.c=value` in place; the value is yaml."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override!r}: expected key=value, e.g. stages.refine.iterations=90")
    try:
        value = parse_yaml(text) if text else ""
    except ValueError as error:
        raise ConfigError(f"--set {key}: {text!r} is not a yaml value: {error}") from error
    *folders, last = key.strip().split(".")
    for folder in folders:
        entry = values.setdefault(folder, {})
        if not isinstance(entry, dict):
            values[folder] = entry = {}
        values = entry
    values[last] = value


def _check_keys(values: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    valid = set(valid_keys(known))
    for key in _given_keys(values, known):
        if key not in valid:
            raise ConfigError(
                f"unknown setting {key!r}{_nearest(key, sorted(valid))}; `turnaround config` lists all"
            )


def valid_keys(known: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings; `known` maps names to None, to a Config class or to further names."""
    for name, entry in known.items():
        yield f"{prefix}{name}"
        children = _children(entry)
        if children is not None:
            yield from valid_keys(children, f"{prefix}{name}.")


def _children(entry: Any) -> Mapping[str, Any] | None:
    if isinstance(entry, type) and issubclass(entry, BaseModel):
        return {name: field.annotation for name, field in entry.model_fields.items()}
    return entry if isinstance(entry, Mapping) else None


def _given_keys(values: Mapping[str, Any], known: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names that were given; inside a setting that is itself a mapping nothing is checked here."""
    children = _children(known) or {}
    for name, value in values.items():
        inside = _children(children.get(name))
        if isinstance(value, Mapping) and inside is not None:
            yield from _given_keys(value, inside, f"{prefix}{name}.")
        elif value is None and inside is not None:
            continue  # `stages:` with nothing below
        else:
            yield f"{prefix}{name}"


def _nearest(key: str, valid: Sequence[str]) -> str:
    last = [name for name in valid if name.split(".")[-1] == key.split(".")[-1] and name != key]
    near = difflib.get_close_matches(key, valid, 1, 0.6) or last[:1]
    return f": did you mean {near[0]!r}?" if near else ""


def _make(stage: type[Stage[Any]], values: Mapping[str, Any], body: str) -> StageConfig:
    if not isinstance(values, Mapping):
        raise ConfigError(f"stages.{stage.name}: expected settings, got {values!r}")
    given = {"body": body, **values} if "body" in stage.Config.model_fields else values
    try:
        return stage.Config(**given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("stages", stage.name, *first["loc"]))
        raise ConfigError(f"{where}: {first['msg']}, got {first.get('input')!r}") from error
