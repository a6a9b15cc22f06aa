"""Which stage's Gaussians are the final ones, and how far the stages go where they are measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

FINAL = ("detail", "fuse")  # the first that there is has the final Gaussians
LAST = ("detail", "mesh")  # the first that there is ends what is measured: later stages pack and show
Found = TypeVar("Found")


def final(stages: Mapping[str, Found]) -> Found:
    """What belongs to the stage that makes the final Gaussians, as its record; KeyError without any."""
    return stages[_first(FINAL, stages)]


def last(names: Collection[str]) -> str:
    """The last stage of these that measuring needs."""
    return _first(LAST, names)


def _first(wanted: tuple[str, ...], names: Collection[str]) -> str:
    return next((name for name in wanted if name in names), wanted[-1])
