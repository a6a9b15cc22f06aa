"""Gaussians on their way out: fewer, at another scale, in one of the formats of splat viewers."""

from __future__ import annotations

import dataclasses

from turnaround.models.splat.pruning import pruned
from turnaround.pipeline.formats import ply, spz
from turnaround.pipeline.formats import splat as dot_splat
from turnaround.pipeline.values.types import Gaussians

_FORMATS = {"ply": ply, "splat": dot_splat, "spz": spz}


def gaussians_bytes(gaussians: Gaussians, to: str, count: int | None, scale: float) -> bytes:
    """The file of some Gaussians.

    to: ply, splat or spz. count: keep those that show most. scale: of all lengths, about the world's origin.
    """
    fewer = pruned(gaussians, count) if count else gaussians
    return _FORMATS[to].encode(scaled(fewer, scale))


def scaled(gaussians: Gaussians, factor: float) -> Gaussians:
    """The same, larger or smaller about the origin."""
    return dataclasses.replace(gaussians, means=gaussians.means * factor, scales=gaussians.scales * factor)
