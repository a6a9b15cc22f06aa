"""The body's volume: sparse convolutions spread the tokens' codes over the person's box (section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from turnaround.models.hgm.config import HGMConfig
from turnaround.models.sparse.convolution import SparseConv3d, SparseVoxels, neighbours, sample, voxelize

MARGIN = 0.05  # metres around the points


class SparseBlock(nn.Module):
    """Two submanifold convolutions on the same voxels, normalised a voxel at a time (batch size never
    matters)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(SparseConv3d(width, width) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        """The same voxels, residual."""
        rows = neighbours(voxels, voxels.coordinates, 1)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            mixed = conv(voxels, rows)
            voxels = voxels.with_features(voxels.features + F.silu(norm(mixed.features)))
        return voxels


class BodyVolume(nn.Module):
    """Codes at points to features anywhere in the box: levels x width channels."""

    def __init__(self, config: HGMConfig) -> None:
        super().__init__()
        width, self.voxel = config.volume_width, config.voxel
        self.enter = nn.Linear(config.width, width)
        self.blocks = nn.ModuleList(SparseBlock(width) for _ in range(config.volume_levels))
        self.downs = nn.ModuleList(
            SparseConv3d(width, width, stride=2) for _ in range(config.volume_levels - 1)
        )
        self.channels = width * config.volume_levels

    def forward(
        self,
        points: Float[Tensor, "b n 3"],
        codes: Float[Tensor, "b n c"],
        queries: Float[Tensor, "m 3"],
        which: Int[Tensor, " m"],
    ) -> Float[Tensor, "m d"]:
        """Features at world points `queries` of the batch elements `which`."""
        origin = points.detach().amin((0, 1)) - MARGIN
        extent = points.detach().amax((0, 1)) + MARGIN - origin
        shape = tuple(int(side) + 1 for side in (extent / self.voxel).tolist())
        voxels = voxelize(points, self.enter(codes), origin, self.voxel, shape)  # type: ignore[arg-type]
        found = []
        for level, block in enumerate(self.blocks):
            if level:
                voxels = self.downs[level - 1](voxels)
            voxels = block(voxels)
            found.append(sample(voxels, queries, which, origin, self.voxel * 2**level))
        return torch.cat(found, -1)
