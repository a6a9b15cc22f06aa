"""Settings of a training from three places: a yaml file (`--config`), `--set a.b=value`, and flags, the later
ones first.

A file holds a training's flags by name, and groups of settings (`loss: {rgb: 1.0}`) that have no flags. All
that was used is written as `settings.json` beside the checkpoint, and can be given to `--config` again.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import logging
import os
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from turnaround.models.training.config import TrainingConfig
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.formats.untrusted import parse_yaml

log = logging.getLogger(__name__)

SETTINGS = "settings.json"
_NOT_SETTINGS = {"help", "config", "set"}


def add_arguments(parser: argparse.ArgumentParser, **defaults: Any) -> argparse.ArgumentParser:
    """The flags that every `python -m models.*train` shares; `defaults` are a network's own."""
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument(
        "--config",
        type=Path,
        help="yaml file of settings, e.g. one of configs/training/*.yaml; flags win over it",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting as in the file, e.g. loss.rgb=2",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the training set")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    for field in dataclasses.fields(TrainingConfig):
        flag, words = f"--{field.name.replace('_', '-')}", field.metadata["help"]
        default = defaults.get(field.name, field.default)
        if field.name == "out":
            parser.add_argument(flag, type=Path, required=True, help=words)
        elif isinstance(field.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=words)
        elif isinstance(field.default, tuple):
            kind = float if field.default else int
            parser.add_argument(
                flag, type=kind, nargs=len(field.default) or "*", default=list(default), help=words
            )
        else:
            parser.add_argument(
                flag,
                type=type(field.default),
                default=default,
                choices=field.metadata["choices"] or None,
                help=words,
            )
    parser.add_argument(
        "--save-best",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="`--save` writes the best weights by validation",
    )
    return parser


def parse(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    networks: Sequence[str],
    groups: Mapping[str, type] | None = None,
) -> argparse.Namespace:
    """Flags over `--set` over `--config` over defaults; `groups` (name -> frozen dataclass) become
    attributes.

    `networks` are the published names that the program trains; a file's own `network` must be one of them.

    Raises:
        ValueError: a key that does not exist (names the nearest one), a file for another network, a value
        that does not fit.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config", type=Path)
    early.add_argument("--set", action="append", default=[])
    first, _ = early.parse_known_args(given)
    values = read_settings(first.config) if first.config else {}
    for text in first.set:
        _assign(values, text)
    groups = groups or {}
    network = values.pop("network", networks[0] if len(networks) == 1 else "")
    if network and network not in networks:
        raise CallError(
            f"{first.config}: these settings are for the network {network!r}, not for {' or '.join(networks)}"
        )
    _check(values, parser, groups)
    made = {name: build(kind, values.pop(name, {}), name) for name, kind in groups.items()}
    parsed, unknown = parser.parse_known_args([*_as_flags(values, parser), *given])
    if unknown:
        flags = sorted(flag for action in parser._actions for flag in action.option_strings)
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{_nearest(unknown[0], flags)}")
    for name, group in made.items():
        setattr(parsed, name, group)
    parsed.network = network
    return parsed


def check_network(options: argparse.Namespace, trained: str) -> None:
    """ValueError when the settings' file was made for another network than the one that the flags make."""
    if options.network not in ("", trained):
        raise CallError(
            f"{options.config}: these settings are for the network {options.network!r}, and the flags train "
            f"{trained!r}"
        )
    options.network = trained


def read_settings(file: Path) -> dict[str, Any]:
    """The settings of a yaml or json file, over those of the file beside it that it `extends`."""
    if not file.is_file():
        beside = sorted(f.name for f in file.parent.glob("*.yaml")) if file.parent.is_dir() else []
        raise CallError(f"config file {file} does not exist{_nearest(file.name, beside)}")
    if file.suffix == ".json":
        values = json.loads(file.read_text())
    else:
        try:
            values = parse_yaml(file.read_text()) or {}
        except ValueError as error:
            raise CallError(f"{file} is not yaml: {error}") from error
    if not isinstance(values, dict):
        raise CallError(f"{file}: expected keys and values, got {type(values).__name__}")
    parent = values.pop("extends", None)
    return values if parent is None else _merge(read_settings(file.parent / f"{parent}.yaml"), values)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    nested = {
        k: _merge(base[k], v)
        for k, v in over.items()
        if isinstance(v, dict) and isinstance(base.get(k), dict)
    }
    return base | over | nested


def _assign(values: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise CallError(f"--set {text!r}: expected key=value, e.g. loss.rgb=2")
    *folders, last = key.strip().replace("-", "_").split(".")
    for folder in folders:
        values = values.setdefault(folder, {})
        if not isinstance(values, dict):
            raise CallError(f"--set {text!r}: {folder} is a single setting, it has nothing inside")
    values[last] = parse_yaml(value) if value else ""


def _flags(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {a.dest: a for a in parser._actions if a.option_strings and a.dest not in _NOT_SETTINGS}


def _check(values: dict[str, Any], parser: argparse.ArgumentParser, groups: Mapping[str, type]) -> None:
    inside = [f"{name}.{field.name}" for name, kind in groups.items() for field in dataclasses.fields(kind)]
    known = sorted([*_flags(parser), *groups, *inside])
    for name in list(values):
        if name.replace("-", "_") != name:
            values[name.replace("-", "_")] = values.pop(name)
    for name, value in values.items():
        keys = [f"{name}.{key}" for key in value] if name in groups and isinstance(value, dict) else [name]
        for key in keys:
            if key not in known:
                raise CallError(f"unknown setting {key!r}{_nearest(key, known)}; `--help` lists all")


def _nearest(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, 1, 0.5)
    return f": did you mean {near[0]!r}?" if near else ""


def _as_flags(values: Mapping[str, Any], parser: argparse.ArgumentParser) -> list[str]:
    """Settings as a command line, so that argparse checks files and flags alike."""
    actions, words = _flags(parser), []
    for name, value in values.items():
        flags = actions[name].option_strings
        if value is None:
            continue
        if isinstance(actions[name], argparse.BooleanOptionalAction):
            if not isinstance(value, bool):
                raise CallError(f"{name}: expected true or false, got {value!r}")
            words.append(flags[0] if value else flags[1])
        elif isinstance(value, list | tuple):
            words += [flags[0], *map(str, value)]
        elif isinstance(value, Mapping):
            raise CallError(f"{name}: expected one value, got {dict(value)!r}")
        else:
            words.append(f"{flags[0]}={value}")
    return words


def build(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """A frozen dataclass of settings; ValueError for values of another type or beside a field's choices."""
    if not isinstance(values, Mapping):
        raise CallError(f"{where}: expected settings, got {values!r}")
    hints, made = typing.get_type_hints(kind), {}
    for name, value in values.items():
        made[name] = _fitting(value, hints[name], f"{where}.{name}")
    return kind(**made)


def _fitting(value: Any, hint: Any, where: str) -> Any:
    if typing.get_origin(hint) is typing.Literal:
        if value not in typing.get_args(hint):
            raise CallError(
                f"{where}: expected one of {', '.join(map(str, typing.get_args(hint)))}, got {value!r}"
            )
        return value
    if isinstance(hint, types.UnionType):
        return (
            None
            if value is None
            else _fitting(value, next(a for a in typing.get_args(hint) if a is not type(None)), where)
        )
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise CallError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def config_from(arguments: argparse.Namespace) -> TrainingConfig:
    """The TrainingConfig of parsed flags; sets threads and logging, and writes the settings beside the
    checkpoint."""
    first = int(os.environ.get("RANK", 0)) == 0
    level = logging.INFO if first else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(arguments.threads)
    names = [name for name in TrainingConfig.__dataclass_fields__ if hasattr(arguments, name)]
    values: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    config = TrainingConfig(**values)
    if first:
        config.out.mkdir(parents=True, exist_ok=True)
        used = {
            name: _plain(value)
            for name, value in sorted(vars(arguments).items())
            if name not in ("config", "set", "command")
        }
        (config.out / SETTINGS).write_text(json.dumps(used, indent=2) + "\n")
    return config


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(value) if isinstance(value, Path) else value
