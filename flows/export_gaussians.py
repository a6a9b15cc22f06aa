"""Gaussians on their way out: fewer, at another scale, in one of the formats of splat viewers."""

from __future__ import annotations

import dataclasses

import torch

from models.pruning import pruned
from pipeline import dot_splat, ply, spz
from pipeline.store import Store
from pipeline.types import Gaussians

_FORMATS = {"ply": ply, "splat": dot_splat, "spz": spz}
_STRAY = 0.001  # share of the Gaussians above the head and below the feet where there is no mesh to measure


def gaussians_bytes(store: Store, subject: str, gaussians: Gaussians, to: str, count: int | None, height: float | None) -> bytes:
    """The file of a subject's Gaussians.

    to: ply, splat or spz. count: keep those that show most. height: metres of the person, about the world's origin.
    """
    if height is not None:
        gaussians = scaled(gaussians, height / _height(store, subject, gaussians))
    return _FORMATS[to].encode(pruned(gaussians, count) if count else gaussians)


def scaled(gaussians: Gaussians, factor: float) -> Gaussians:
    """The same, larger or smaller about the origin."""
    return dataclasses.replace(gaussians, means=gaussians.means * factor, scales=gaussians.scales * factor)


def _height(store: Store, subject: str, gaussians: Gaussians) -> float:
    """Metres from the lowest to the highest point: of the mesh where there is one."""
    record = store.linked(subject, "mesh")
    if record is not None:
        upright = record.load("mesh").vertices[:, 1]
        return float(upright.max() - upright.min())
    low, high = torch.quantile(gaussians.means[:1_000_000, 1].double(), torch.tensor([_STRAY, 1 - _STRAY], dtype=torch.float64)).tolist()
    return max(high - low, 1e-9)
