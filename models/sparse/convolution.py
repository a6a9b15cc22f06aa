"""Sparse 3D convolution in plain torch: one padded gather and one GEMM a layer.

Submanifold convolution keeps the active voxels, strided convolution (kernel 3, stride 2, padding 1) makes the
coarser ones. Weights have spconv's layout, (out, 3, 3, 3, in), so that both backends read the same state
dict.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass
class SparseVoxels:
    """Features on the active voxels of a batch of grids."""

    features: Float[Tensor, "n c"]
    coordinates: Int[Tensor, "n 4"]  # batch, x, y, z; unique
    shape: tuple[int, int, int]  # voxels along x, y, z
    batch: int

    @cached_property
    def index(self) -> Int[Tensor, "b x y z"]:
        """Row of every voxel, n where it is not active; one voxel of padding on all sides."""
        size = [side + 2 for side in self.shape]
        grid = torch.full((self.batch, *size), len(self.coordinates), device=self.coordinates.device)
        b, x, y, z = self.coordinates.unbind(1)
        grid[b, x + 1, y + 1, z + 1] = torch.arange(len(self.coordinates), device=grid.device)
        return grid

    def with_features(self, features: Float[Tensor, "n d"]) -> SparseVoxels:
        """The same voxels with other features; the index is shared."""
        other = SparseVoxels(features, self.coordinates, self.shape, self.batch)
        if "index" in self.__dict__:
            other.__dict__["index"] = self.index
        return other


OFFSETS = torch.stack(torch.meshgrid(*[torch.arange(3)] * 3, indexing="ij"), -1).reshape(27, 3)


def neighbours(source: SparseVoxels, centres: Int[Tensor, "m 4"], stride: int) -> Int[Tensor, "m 27"]:
    """Rows of the 27 inputs of every output voxel; n where there is none."""
    grid = source.index
    offsets = OFFSETS.to(grid.device)
    size = torch.tensor(grid.shape[1:], device=grid.device)
    at = (centres[:, None, 1:] * stride + offsets).minimum(size - 1)
    return grid[centres[:, None, 0].expand(-1, 27), at[..., 0], at[..., 1], at[..., 2]]


CHUNK = (
    2**19
)  # gathered numbers at a time: 2 MiB, which stay in a core's cache until the product has read them


def convolve(
    features: Float[Tensor, "n c"], rows: Int[Tensor, "m 27"], weight: Float[Tensor, "o 3 3 3 c"]
) -> Float[Tensor, "m o"]:
    """Gather the inputs (zero for none), then a matrix product; on a CPU without gradients a part of the
    voxels at a time."""
    padded = torch.cat([features, features.new_zeros(1, features.shape[1])])
    matrix = weight.reshape(weight.shape[0], -1).T
    if features.device.type != "cpu" or torch.is_grad_enabled():
        return padded.index_select(0, rows.reshape(-1)).reshape(len(rows), len(matrix)) @ matrix
    parts = rows.split(max(64, CHUNK // matrix.shape[0]))
    return torch.cat(
        [padded.index_select(0, part.reshape(-1)).reshape(len(part), len(matrix)) @ matrix for part in parts]
    )


class SparseConv3d(nn.Module):
    """Kernel 3, padding 1, no bias; `stride` 1 is submanifold, 2 halves the grid."""

    def __init__(self, channels: int, out: int, *, stride: int = 1) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"SparseConv3d has strides 1 and 2, got {stride}")
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out, 3, 3, 3, channels))
        nn.init.normal_(self.weight, std=(2 / (27 * channels)) ** 0.5)

    def forward(self, voxels: SparseVoxels, rows: Int[Tensor, "m 27"] | None = None) -> SparseVoxels:
        """Convolve; `rows` may be given where several layers share the same voxels."""
        if self.stride == 1:
            rows = neighbours(voxels, voxels.coordinates, 1) if rows is None else rows
            return voxels.with_features(convolve(voxels.features, rows, self.weight))
        target = coarser(voxels)
        rows = neighbours(voxels, target.coordinates, 2)
        return target.with_features(convolve(voxels.features, rows, self.weight))


def coarser(voxels: SparseVoxels) -> SparseVoxels:
    """The voxels of half the resolution that any active voxel reaches with kernel 3, stride 2, padding 1."""
    x, y, z = voxels.shape
    shape = ((x + 1) // 2, (y + 1) // 2, (z + 1) // 2)
    xyz = voxels.coordinates[:, 1:]
    # input i feeds the outputs o with 2 o - 1 <= i <= 2 o + 1
    low, high = xyz // 2, (xyz + 1) // 2
    limit = torch.tensor(shape, device=xyz.device) - 1
    candidates = []
    for choice in range(8):
        pick = torch.tensor([(choice >> k) & 1 for k in range(3)], device=xyz.device).bool()
        candidates.append(torch.where(pick, high, low).minimum(limit))
    stacked = torch.cat([torch.cat([voxels.coordinates[:, :1], c], 1) for c in candidates])
    occupied = torch.zeros((voxels.batch, *shape), dtype=torch.bool, device=xyz.device)
    occupied[tuple(stacked.unbind(1))] = True
    coordinates = occupied.nonzero()
    return SparseVoxels(voxels.features.new_zeros(len(coordinates), 0), coordinates, shape, voxels.batch)


def voxelize(
    points: Float[Tensor, "b n 3"],
    features: Float[Tensor, "b n c"],
    origin: Float[Tensor, "3"],
    size: float,
    shape: tuple[int, int, int],
) -> SparseVoxels:
    """Mean feature of the points in every voxel; points outside the box count to its border."""
    batch, count = points.shape[:2]
    limit = torch.tensor(shape, device=points.device) - 1
    cell = ((points - origin) / size).floor().long().clamp(min=0).minimum(limit)
    which = torch.arange(batch, device=points.device)[:, None].expand(batch, count)
    flat = ((which * shape[0] + cell[..., 0]) * shape[1] + cell[..., 1]) * shape[2] + cell[..., 2]
    unique, inverse = flat.reshape(-1).unique(return_inverse=True)
    total = features.new_zeros(len(unique), features.shape[-1]).index_add(
        0, inverse, features.reshape(-1, features.shape[-1])
    )
    number = features.new_zeros(len(unique)).index_add(0, inverse, features.new_ones(batch * count))
    z, rest = unique % shape[2], unique // shape[2]
    coordinates = torch.stack(
        [rest // shape[1] // shape[0], rest // shape[1] % shape[0], rest % shape[1], z], 1
    )
    return SparseVoxels(total / number[:, None], coordinates, shape, batch)


def sample(
    voxels: SparseVoxels,
    points: Float[Tensor, "n 3"],
    which: Int[Tensor, " n"],
    origin: Float[Tensor, "3"],
    size: float,
) -> Float[Tensor, "n c"]:
    """Trilinear interpolation at world points of batch element `which`; inactive voxels count as zero."""
    at = (points - origin) / size - 0.5
    limit = torch.tensor(voxels.shape, device=points.device).float() - 0.5
    at = torch.minimum(at.clamp(min=-0.5), limit)
    low = at.floor()
    fraction = at - low
    low = low.long() + 1  # the index is padded by one
    padded = torch.cat([voxels.features, voxels.features.new_zeros(1, voxels.features.shape[1])])
    result = torch.zeros(len(points), padded.shape[1], dtype=padded.dtype, device=padded.device)
    for corner in range(8):
        pick = torch.tensor([(corner >> k) & 1 for k in range(3)], device=points.device)
        at_corner = low + pick
        rows = voxels.index[which, at_corner[:, 0], at_corner[:, 1], at_corner[:, 2]]
        weight = torch.where(pick.bool(), fraction, 1 - fraction).prod(1)
        result = result + weight[:, None] * padded.index_select(0, rows)
    return result
