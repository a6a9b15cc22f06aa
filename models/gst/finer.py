"""Values of the points that the heads speak of -> values of more points of the same skin.

A head has a row of its matrix for every point, so that many points make large weights. What the heads say is
smooth along the skin; detail comes from the pixels, which every finer point reads for itself.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor, nn

from turnaround.models.gst.anchors import Anchors

NEIGHBOURS = 3
CANDIDATES = 24  # nearest points among which they are
AWAY = 0.3  # metres: how much further a point counts to be whose skin faces the other way


class Finer(nn.Module):
    """Weighted means of each finer point's nearest neighbours at rest."""

    near: Int[Tensor, "n 3"]
    share: Float[Tensor, "n 3"]
    spacing: Float[Tensor, " n"]  # metres between a finer point and its neighbours, if they lay in a grid

    def __init__(self, points: Anchors, finer: Anchors) -> None:
        super().__init__()
        near, share = neighbours(points.rest, points.normals, finer.rest, finer.normals)
        for name, value in (("near", near), ("share", share), ("spacing", spacing(finer.rest))):
            self.register_buffer(name, value, persistent=False)

    def forward(self, raw: dict[str, Float[Tensor, "b m c"]]) -> dict[str, Float[Tensor, "b n c"]]:
        """Of the finer points."""
        return {kind: (values[:, self.near] * self.share[..., None]).sum(2) for kind, values in raw.items()}


def neighbours(
    rest: Float[Tensor, "m 3"],
    normals: Float[Tensor, "m 3"],
    finer: Float[Tensor, "n 3"],
    facing: Float[Tensor, "n 3"],
) -> tuple[Int[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """The nearest points of the same side of the skin, and their shares by inverse distance."""
    tree = KDTree(rest.double().numpy())
    apart, near = (
        torch.from_numpy(x) for x in tree.query(finer.double().numpy(), min(CANDIDATES, len(rest)))
    )
    apart = apart.float() + AWAY * ((facing[:, None] * normals[near]).sum(-1) < 0)
    distance, best = apart.topk(NEIGHBOURS, largest=False)
    weight = 1 / (distance + 1e-4)
    return near.gather(1, best), weight / weight.sum(1, keepdim=True)


def spacing(rest: Float[Tensor, "n 3"], count: int = 12) -> Float[Tensor, " n"]:
    """Side of the square of skin that belongs to each point: of a disc through the `count`-th neighbour."""
    points = rest.double().numpy()
    apart = KDTree(points).query(points, count + 1)[0][:, -1]
    return torch.from_numpy(apart).to(rest.dtype) * (math.pi / count) ** 0.5
