"""The z-buffer in torch operations, for a mesh that is on a GPU and should stay there: nothing waits for the
device.

Every face looks at a window of pixels from the corner of its box, so that all arrays have sizes known before.
Faces of about the same size share a window, and `CANDIDATES` bounds how many pixels are looked at together:
without the first a body would cost four times as much, without the second 60 GB at 512 pixels and 12 views.
Its twin on the CPU is `models/mesh/zbuffer.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NONE = torch.iinfo(torch.int64).max  # key of a pixel without a face
SHARES = (0.5, 0.75, 0.9, 0.99, 1.0)  # of the faces, by size, that the windows hold
CANDIDATES = 1 << 24  # pixels of windows at a time, of about 100 bytes each

Windows: TypeAlias = Sequence[tuple[Int[Tensor, " _"], int]]
"""Faces, and the side of the square of pixels that holds each of them; every face is in one of the groups."""


def windows_of(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], scale: float, margin: float = 1.5
) -> Windows:
    """Groups of faces by their longest edge, which no turn of the mesh changes; waits for the device, so ask
    once.

    Args:
        points: vertices in metres.
        faces: vertex indices.
        scale: pixels of a metre, where the mesh is nearest to a camera.
        margin: how many times as large the faces may become.
    """
    corners = points[faces]
    longest = (corners - corners.roll(1, 1)).norm(dim=-1).amax(1)
    order = longest.argsort()
    ends = [math.ceil(share * len(faces)) for share in SHARES]
    sides = (longest[order][[end - 1 for end in ends]] * scale * margin).ceil().long().tolist()
    return [
        (order[first:end], side + 1)
        for first, end, side in zip([0, *ends], ends, sides, strict=False)
        if end > first
    ]


def enlarged(windows: Windows, factor: float) -> Windows:
    """The same for pictures `factor` times as wide."""
    return [(index, math.ceil((side - 1) * factor) + 1) for index, side in windows]


def covered(
    uv: Float[Tensor, "c v 2"], faces: Int[Tensor, "f 3"], height: int, width: int, windows: Windows
) -> Bool[Tensor, "c h w"]:
    """True at the pixel centres that lie in a face."""
    flat = uv.new_zeros(len(uv), height * width + 1)
    for chosen, side in _parts(windows, len(uv)):
        place, weights = _candidates(uv, faces[chosen], height, width, side)
        inside = (weights >= 0).all(-1)
        flat.scatter_(
            1, torch.where(inside, place, height * width).flatten(1), 1.0
        )  # the last one takes what is outside
    return flat[:, :-1].reshape(-1, height, width) > 0


def visible(
    uvz: Float[Tensor, "c v 3"], faces: Int[Tensor, "f 3"], height: int, width: int, windows: Windows
) -> tuple[Int[Tensor, "c h w"], Float[Tensor, "c h w 3"]]:
    """The nearest face at each pixel centre, -1 where there is none, and perspective-correct barycentric
    coordinates in it.

    The whole mesh must be before the cameras.
    """
    flat = torch.full((len(uvz), height * width + SPARE), NONE, device=uvz.device)
    spare = height * width + torch.arange(SPARE, device=uvz.device)
    for chosen, side in _parts(windows, len(uvz)):
        place, weights = _candidates(uvz[..., :2], faces[chosen], height, width, side)
        over_z = weights / uvz[:, faces[chosen], 2][:, :, None]
        depth = 1 / over_z.sum(-1)
        inside = (weights >= 0).all(-1) & (place < height * width)
        # depth and face in one number, so that the smallest is the nearest: bits of positive floats are
        # ordered
        keys = (torch.where(inside, depth, 1.0).float().view(torch.int32).long() << 32) | chosen[
            None, :, None
        ]
        outside = spare.repeat(math.ceil(side * side / SPARE))[: side * side]
        flat.scatter_reduce_(1, torch.where(inside, place, outside).flatten(1), keys.flatten(1), "amin")
    nearest = flat[:, : height * width].reshape(-1, height, width)
    face = torch.where(nearest == NONE, torch.full_like(nearest, -1), nearest & 0xFFFFFFFF)
    return face, _barycentric(uvz, faces, face)


SPARE = (
    256  # places for what is outside: most candidates are, and on one place they would wait for each other
)


def _parts(windows: Windows, views: int) -> Iterator[tuple[Int[Tensor, " _"], int]]:
    for index, side in windows:
        for chosen in index.split(max(1, CANDIDATES // (views * side * side))):
            yield chosen, side


def _candidates(
    uv: Tensor, faces: Tensor, height: int, width: int, side: int
) -> tuple[Int[Tensor, "c f w2"], Float[Tensor, "c f w2 3"]]:
    """Place in the flat picture (its end where outside of it) and weights of every pixel of every face's
    window; negative is outside."""
    corners = uv[:, faces]
    first = (corners.amin(2) - 0.5).ceil()
    steps = torch.arange(side, device=uv.device, dtype=uv.dtype)
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(-1, 2)
    pixels = first[:, :, None] + offsets
    weights = _weights(corners, pixels + 0.5)
    x, y = pixels.long().unbind(-1)
    there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return torch.where(there, y * width + x, height * width), weights


def _weights(corners: Float[Tensor, "*f 3 2"], points: Float[Tensor, "*f n 2"]) -> Float[Tensor, "*f n 3"]:
    """Barycentric coordinates on the screen; NaN, which counts as outside, for a face without area."""
    edges = [_edge(corners[..., i, :], corners[..., j, :], points) for i, j in ((1, 2), (2, 0), (0, 1))]
    area = _edge(corners[..., 0, :], corners[..., 1, :], corners[..., 2:3, :])
    return torch.stack(edges, -1) / area[..., None]


def _edge(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    ax, ay, bx, by = a[..., 0, None], a[..., 1, None], b[..., 0, None], b[..., 1, None]
    return (ax - p[..., 0]) * (by - p[..., 1]) - (ay - p[..., 1]) * (bx - p[..., 0])


def _barycentric(uvz: Tensor, faces: Tensor, face: Int[Tensor, "c h w"]) -> Float[Tensor, "c h w 3"]:
    views, height, width = face.shape
    corners = faces[face.clamp(min=0)]
    view = torch.arange(views, device=uvz.device)[:, None, None, None]
    points = uvz[view, corners]  # c h w 3 (corner) 3
    v, u = torch.meshgrid(
        torch.arange(height, device=uvz.device), torch.arange(width, device=uvz.device), indexing="ij"
    )
    centres = (torch.stack([u, v], -1) + 0.5).to(uvz).expand(views, -1, -1, -1)
    weights = _weights(points[..., :2], centres[..., None, :])[..., 0, :] / points[..., 2]
    bary = weights / weights.sum(-1, keepdim=True)
    return torch.where(face[..., None] >= 0, bary, torch.zeros_like(bary))
