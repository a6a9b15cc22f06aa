"""The stages of the pipeline, one file each; `stages.classes()` in order."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnaround.pipeline.stage import Stage

NAMES = (
    "prepare",
    "estimate",
    "coarse",
    "refine",
    "back_view",
    "fuse",
    "mesh",
    "detail",
    "texture",
    "turntable",
    "rig",
)


def classes() -> tuple[type[Stage[Any]], ...]:
    """The stage classes in order. Their declarations import neither torch nor a network."""
    from turnaround.pipeline.stage import Stage

    found: list[type[Stage[Any]]] = []
    for name in NAMES:
        module = importlib.import_module(f"turnaround.stages.{name}")
        declared = [
            c
            for c in vars(module).values()
            if isinstance(c, type) and issubclass(c, Stage) and c.__module__ == module.__name__
        ]
        found.append(next(c for c in declared if c.name == name))
    return tuple(found)


def __getattr__(name: str) -> Any:
    if name == "STAGES":
        return classes()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
