"""Settings as frozen models: closed, described, and where one of several things is chosen, a union by `kind`.

A network's or a fit's settings are such a model, and it is itself the field of the stage that uses it:

    class RefineConfig(StageConfig):
        fit: RefinementConfig = Field(default_factory=RefinementConfig, description="the fit")

Where a setting says which of several does the work, each is a model of its own with only its own settings:

    Provider = Annotated[Embedded | Hub, Field(discriminator="kind"), by_kind("embedded")]
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from turnaround.pipeline.errors import CallError

KIND = "kind"  # the field that says which member of a union is meant, and nothing else


class ConfigError(CallError):
    """A setting that does not exist or does not fit: names it, and the nearest one that exists."""


class Frozen(BaseModel):
    """Settings that cannot change and have no other fields. Every field has a description.

    Numbers are taken for text where text is asked for: yaml reads `person=0` and `--set` passes it on as a
    number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    def but(self, **changes: Any) -> Self:
        """The same with other values, which are checked."""
        return type(self)(**{**dict(self), **changes})


ModelT = TypeVar("ModelT", bound=BaseModel)


def by_kind(usual: str) -> BeforeValidator:
    """What reads a word as `{kind: word}`, and settings that name no kind as those of the usual one."""

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return {KIND: value}
        return {KIND: usual, **value} if isinstance(value, Mapping) and KIND not in value else value

    return BeforeValidator(read)


def members(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models that a field's annotation takes: itself, or those of a union; () for a plain value."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if isinstance(annotation, type):
        return (annotation,) if issubclass(annotation, BaseModel) else ()
    if get_origin(annotation) in (Literal, dict, tuple, list):
        return ()
    return tuple(model for part in get_args(annotation) for model in members(part))


def kinds_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The words that mean a member of a union; () for a model of its own."""
    field = model.model_fields.get(KIND)
    return () if field is None else tuple(map(str, get_args(field.annotation)))


@cache
def fields(models: tuple[type[BaseModel], ...]) -> dict[str, tuple[type[BaseModel], ...]]:
    """Names of the fields of models, each with the models that it takes itself."""
    found: dict[str, tuple[type[BaseModel], ...]] = {}
    for model in models:
        for name, field in model.model_fields.items():
            found[name] = (*found.get(name, ()), *members(field.annotation))
    return found


def build(model: type[ModelT], values: Any, where: str) -> ModelT:
    """The model of these values; ConfigError that names the first setting at fault, below `where`."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected settings, got {values!r}")
    try:
        return model.model_validate(_without_empty((model,), values))
    except ValidationError as error:
        raise _told(model, error, where) from error


def _without_empty(models: tuple[type[BaseModel], ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without settings that have nothing below their name (`fit:`), which changes nothing."""
    known, kept = fields(models), dict(values)
    for name, value in values.items():
        inside = known.get(name, ())
        if inside and value is None:
            del kept[name]
        elif inside and isinstance(value, Mapping):
            kept[name] = _without_empty(inside, value)
    return kept


def _told(model: type[BaseModel], error: ValidationError, where: str) -> ConfigError:
    """The first fault in our words."""
    first = error.errors()[0]
    path, inside = _placed((model,), first["loc"])
    name, given = ".".join(filter(None, (where, *path))), first.get("input")
    if first["type"] == "missing":
        told = [m.model_fields[path[-1]].description for m in inside if path[-1] in m.model_fields]
        return ConfigError(f"{name} is needed: {told[0] if told else first['msg']}")
    if first["type"] == "union_tag_invalid":
        tags = first.get("ctx", {})
        return ConfigError(f"{name}: expected {tags.get('expected_tags')}, got {tags.get('tag')!r}")
    if first["type"] == "extra_forbidden":
        owners = [kind for m in inside if path[-1] in m.model_fields for kind in kinds_of(m)]
        if not owners:
            return ConfigError(f"unknown setting {name!r}")
        chosen = f"{name.rpartition('.')[0]}={owners[0]}"
        return ConfigError(f"{name} is a setting of {' and '.join(owners)}: choose {chosen} with it")
    return ConfigError(f"{name}: {first['msg']}, got {given!r}")


def _placed(
    models: tuple[type[BaseModel], ...], location: tuple[int | str, ...]
) -> tuple[list[str], tuple[type[BaseModel], ...]]:
    """A place in pydantic's words as a path in ours, which names no kind of a union, and the models there."""
    path, inside = [""], models
    for part in map(str, location):
        if len(models) > 1 and any(part in kinds_of(model) for model in models):
            continue
        path.append(part)
        inside, models = models, fields(models).get(part, ())
    return path, inside
