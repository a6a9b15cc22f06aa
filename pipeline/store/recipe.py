"""Everything that determines a stage's outputs, its key, and how two recipes differ."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from turnaround.pipeline.stage import Stage

CauseKind = Literal["VERSION", "CONFIG", "WEIGHTS", "INPUT"]
WeightDigest = Callable[[str], str]  # name or path -> sha256; `models.zoo.digest`


@dataclass(frozen=True)
class Recipe:
    """What enters the key. Device, batch size, workers and the clock never do."""

    stage: str
    version: int
    config: Mapping[str, Any]  # as json
    inputs: Mapping[
        str, str
    ]  # need ("prepare.view") -> sha256 of the content, "none" for a sidecar that is not there
    weights: Mapping[str, str]  # name -> sha256
    given: Mapping[str, str] = field(
        default_factory=dict
    )  # output that a person gave in the place of the stage's -> sha256 of the file

    @property
    def key(self) -> str:
        """24 hex digits of sha256 over the canonical json."""
        fields = {name: value for name, value in asdict(self).items() if name != "given" or value}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @staticmethod
    def of(
        stage: Stage[Any],
        inputs: Mapping[str, str],
        weight_digest: WeightDigest,
        given: Mapping[str, str] | None = None,
    ) -> Recipe:
        """The recipe of `stage` on inputs with these digests; raises what `weight_digest` raises for a
        missing weight."""
        weights = {name: weight_digest(name) for name in stage.weights()}
        return Recipe(
            stage.name,
            stage.version,
            stage.config.model_dump(mode="json"),
            dict(inputs),
            weights,
            dict(given or {}),
        )

    @property
    def computed(self) -> Recipe:
        """The recipe of what the stage itself makes, nothing given."""
        return replace(self, given={})

    @staticmethod
    def recorded(manifest: Mapping[str, Any]) -> Recipe:
        """The recipe of a manifest."""
        fields = {name: manifest[name] for name in ("stage", "version", "config", "inputs", "weights")}
        return Recipe(**fields, given=manifest.get("given", {}))


@dataclass(frozen=True)
class Cause:
    """One reason why recorded outputs are stale."""

    kind: CauseKind
    what: str  # the field, input or weight
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.kind} {self.what}: {_short(self.old)} -> {_short(self.new)}"


def causes(old: Recipe, new: Recipe) -> list[Cause]:
    """Every difference, the nearest to the author first: version, config, weights, inputs. Empty means the
    same key.

    Settings that only one of two versions has are no difference of their own: the version tells it.
    """
    found = [Cause("VERSION", "version", old.version, new.version)] if old.version != new.version else []
    was, now = flatten(old.config), flatten(new.config)
    if found:
        both = was.keys() & now.keys()
        was, now = ({name: side[name] for name in side if name in both} for side in (was, now))
    pairs: list[tuple[CauseKind, Mapping[str, Any], Mapping[str, Any]]] = [
        ("CONFIG", was, now),
        ("WEIGHTS", old.weights, new.weights),
        ("INPUT", old.inputs, new.inputs),
        (
            "INPUT",
            {f"given {name}": d for name, d in old.given.items()},
            {f"given {name}": d for name, d in new.given.items()},
        ),
    ]
    for kind, before, after in pairs:
        names = [*after, *(name for name in before if name not in after)]
        found += [Cause(kind, n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]
    return found


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def source_digest(stage: Stage[Any]) -> str | None:
    """sha256 of the file that declares the stage: recorded, not keyed, so that `status` can tell of changed
    code."""
    try:
        with open(inspect.getfile(type(stage)), "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, TypeError):
        return None


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    digest = len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return text[:12] if digest else text if len(text) <= 60 else text[:57] + "..."
