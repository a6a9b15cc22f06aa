"""The body's volume: sparse convolutions spread the tokens' codes over the person's box (section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.hgm.tokens import BodyTokens
from turnaround.models.sparse.convolution import SparseConv3d, SparseVoxels, neighbours, sample, voxelize

MARGIN = 0.05  # metres around the points


class SparseBlock(nn.Module):
    """Two submanifold convolutions on the same voxels, each voxel normalised for itself."""

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
    """Codes on the body's surface to features anywhere in its box, at several resolutions."""

    def __init__(self, code: int, width: int, levels: int, voxel: float) -> None:
        super().__init__()
        self.voxel, self.channels = voxel, width * levels
        self.enter = nn.Linear(code, width)
        self.blocks = nn.ModuleList(SparseBlock(width) for _ in range(levels))
        self.downs = nn.ModuleList(SparseConv3d(width, width, stride=2) for _ in range(levels - 1))

    def forward(self, places: Float[Tensor, "m 3"], body: BodyTokens | None) -> Float[Tensor, "m d"]:
        """Features at world points `places` of one person; zeros where there is no body."""
        if body is None:
            return places.new_zeros(len(places), self.channels)
        points = body.points.detach()
        origin = points.amin(0) - MARGIN
        extent = points.amax(0) + MARGIN - origin
        x, y, z = (int(side) + 1 for side in (extent / self.voxel).tolist())
        voxels = voxelize(body.points[None], self.enter(body.code[None]), origin, self.voxel, (x, y, z))
        person, found = torch.zeros(len(places), dtype=torch.long, device=places.device), []
        for level, block in enumerate(self.blocks):
            if level:
                voxels = self.downs[level - 1](voxels)
            voxels = block(voxels)
            found.append(sample(voxels, places, person, origin, self.voxel * 2**level))
        return torch.cat(found, -1)


class NoVolume(nn.Module):
    """Stands where a model has no volume: no features anywhere."""

    channels = 0

    def forward(self, places: Float[Tensor, "m 3"], body: BodyTokens | None) -> Float[Tensor, "m 0"]:
        """No columns."""
        return places.new_zeros(len(places), 0)
