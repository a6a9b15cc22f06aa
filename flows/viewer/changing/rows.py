"""The order of the page's Gaussians: what changes beside the bones comes first."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from turnaround.pipeline.formats import splat
from turnaround.pipeline.values.types import Gaussians


class Rows(NamedTuple):
    """First what fades, then what follows the face, then all others; what does both lies where these meet."""

    order: Int[Tensor, " n"]  # of the Gaussians
    fading: int  # so many, from the first on
    face: tuple[int, int]  # the first, and the one behind the last


def rows_of(gaussians: Gaussians, fades: Bool[Tensor, " n"], follows: Bool[Tensor, " n"]) -> Rows:
    """Sort Gaussians by what they do; of those that do the same, the most visible come first."""
    kind = torch.where(fades, follows.long(), 3 - follows.long())
    seen = splat.by_visibility(gaussians)
    first = int((fades & ~follows).sum())
    order = seen[torch.argsort(kind[seen], stable=True)]
    return Rows(order, int(fades.sum()), (first, first + int(follows.sum())))
