"""Settings of a training from three places: a yaml file (`--config`), `--set a.b=value`, and flags, the later
ones first.

A file holds a training's flags by name, and groups of settings (`loss: {rgb: 1.0}`) that have no flags. All
that was used is written as `settings.json` beside the checkpoint, and can be given to `--config` again.
Files, `--set` and groups are read and checked by `pipeline/settings.py`, as those of the stages are.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import BaseModel, create_model

from turnaround.models.training.config import TrainingConfig
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.frozen import Frozen, build
from turnaround.pipeline.settings import ConfigError, assigned, check_keys, nearest, read_file

log = logging.getLogger(__name__)

SETTINGS = "settings.json"
_NOT_SETTINGS = {"help", "config", "set"}


class Flags(argparse.ArgumentParser):
    """A parser of flags that knows them by the names of their settings."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.flags: dict[str, argparse.Action] = {}
        super().__init__(*args, **options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """As argparse's, and remembered."""
        action = super().add_argument(*names, **options)
        self.flags[action.dest] = action
        return action

    def settings(self) -> type[BaseModel]:
        """The flags as a model: what a file may say of them; everything has a default, or is left out."""
        named = {name: action for name, action in self.flags.items() if name not in _NOT_SETTINGS}
        fields: dict[str, Any] = {name: (_type_of(action) | None, None) for name, action in named.items()}
        return create_model("Flags", __base__=Frozen, **fields)


def _type_of(action: argparse.Action) -> Any:
    """The type of what a flag takes."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return bool
    kind: Any = Literal[tuple(action.choices)] if action.choices else action.type or str
    if isinstance(action.nargs, int):
        return tuple[(kind,) * action.nargs]
    return kind if action.nargs is None else tuple[kind, ...]


def add_arguments(parser: Flags, **defaults: Any) -> Flags:
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
    for name, field in TrainingConfig.model_fields.items():
        flag, options = f"--{name.replace('_', '-')}", _options(field.annotation)
        if field.is_required():
            options["required"] = True
        else:
            options["default"] = defaults.get(name, field.default)
        parser.add_argument(flag, help=field.description, **options)
    parser.add_argument(
        "--save",
        default="",
        help="weight name, as in models/weights/index.json, or file to write at the end",
    )
    parser.add_argument(
        "--save-best",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="`--save` writes the best weights by validation",
    )
    return parser


def _options(annotation: Any) -> dict[str, Any]:
    """How argparse takes a field of this type."""
    kinds = get_args(annotation)
    if get_origin(annotation) is Literal:
        return {"choices": kinds}
    if get_origin(annotation) is tuple:
        return {"type": kinds[0], "nargs": "*" if kinds[-1] is Ellipsis else len(kinds)}
    return {"action": argparse.BooleanOptionalAction} if annotation is bool else {"type": annotation}


def parse(
    parser: Flags,
    arguments: Sequence[str] | None,
    networks: Sequence[str],
    groups: Mapping[str, type[BaseModel]] | None = None,
) -> argparse.Namespace:
    """Flags over `--set` over `--config` over defaults; `groups` (name -> model) become attributes.

    `networks` are the published names that the program trains; a file's own `network` must be one of them.

    Raises:
        CallError: a key that does not exist (names the nearest one), a file for another network, a value
        that does not fit.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config", type=Path)
    early.add_argument("--set", action="append", default=[])
    first, _ = early.parse_known_args(given)
    values, groups = _read(first.config, first.set), groups or {}
    network = values.pop("network", networks[0] if len(networks) == 1 else "")
    if network and network not in networks:
        raise CallError(
            f"{first.config}: these settings are for the network {network!r}, not for {' or '.join(networks)}"
        )
    flags = parser.settings()
    known = {**dict.fromkeys(flags.model_fields), **groups}
    check_keys(values, known, lists="--help")
    made = {name: build(model, values.pop(name, None) or {}, name) for name, model in groups.items()}
    for name, value in build(flags, values, "").model_dump(exclude_none=True).items():
        parser.set_defaults(**{name: value})
        parser.flags[name].required = False
    parsed, unknown = parser.parse_known_args(given)
    if unknown:
        options = sorted(flag for action in parser.flags.values() for flag in action.option_strings)
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{nearest(unknown[0], options)}")
    for name, group in made.items():
        setattr(parsed, name, group)
    parsed.network = network
    return parsed


def _read(file: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """The values of a file with `key=value` over them, named as the flags are in Python."""
    values = read_settings(file) if file else {}
    values = {name.replace("-", "_"): value for name, value in values.items()}
    for text in overrides:
        key, *value = text.split("=", 1)
        values = assigned(values, "=".join([key.replace("-", "_"), *value]), example="loss.rgb=2")
    return values


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
    beside = sorted(f.name for f in file.parent.glob("*.yaml")) if file.parent.is_dir() else []

    def missing(name: str) -> Path:
        raise ConfigError(f"config file {file.parent / name} does not exist{nearest(name, beside)}")

    return read_file(file if file.is_file() else missing(file.name), lambda name: missing(f"{name}.yaml"))


def config_from(arguments: argparse.Namespace) -> TrainingConfig:
    """The TrainingConfig of parsed flags; sets threads and logging, and writes the settings beside the
    checkpoint."""
    first = int(os.environ.get("RANK", 0)) == 0
    level = logging.INFO if first else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(arguments.threads)
    given = vars(arguments)
    config = build(TrainingConfig, {name: given[name] for name in TrainingConfig.model_fields}, "")
    if first:
        config.out.mkdir(parents=True, exist_ok=True)
        used = {
            name: _plain(value)
            for name, value in sorted(given.items())
            if name not in ("config", "set", "command")
        }
        (config.out / SETTINGS).write_text(json.dumps(used, indent=2) + "\n")
    return config


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value) if isinstance(value, Path) else value
