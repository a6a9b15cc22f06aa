"""The z-buffer in torch operations, for a mesh that is on a GPU and should stay there: nothing waits for the device.

Every face looks at a window of `window` x `window` pixels from the corner of its box, so that all arrays have sizes known before:
meant for meshes of small faces such as a body. Its twin on the CPU is `models/zbuffer.py`.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NONE = torch.iinfo(torch.int64).max  # key of a pixel without a face


def window_of(uv: Float[Tensor, "c v 2"], faces: Int[Tensor, "f 3"], margin: float = 1.5) -> int:
    """Pixels that hold every face now, and with `margin` after it has moved; waits for the device, so ask once."""
    corners = uv[:, faces]
    extent = (corners.amax(2) - corners.amin(2)).max()
    return int((extent * margin).ceil().item()) + 1


def covered(uv: Float[Tensor, "c v 2"], faces: Int[Tensor, "f 3"], height: int, width: int, window: int) -> Bool[Tensor, "c h w"]:
    """True at the pixel centres that lie in a face."""
    place, weights = _candidates(uv, faces, height, width, window)
    inside = (weights >= 0).all(-1).flatten(1)
    flat = uv.new_zeros(len(uv), height * width + 1)
    flat.scatter_(1, torch.where(inside, place.flatten(1), height * width), 1.0)  # the last one takes what is outside
    return flat[:, :-1].reshape(-1, height, width) > 0


def visible(
    uvz: Float[Tensor, "c v 3"], faces: Int[Tensor, "f 3"], height: int, width: int, window: int
) -> tuple[Int[Tensor, "c h w"], Float[Tensor, "c h w 3"]]:
    """The nearest face at each pixel centre, -1 where there is none, and perspective-correct barycentric coordinates in it.

    The whole mesh must be before the cameras.
    """
    place, weights = _candidates(uvz[..., :2], faces, height, width, window)
    over_z = weights / uvz[:, faces, 2][:, :, None]
    depth = 1 / over_z.sum(-1)
    inside = (weights >= 0).all(-1)
    # depth and face in one number, so that the smallest is the nearest: bits of positive floats are ordered
    index = torch.arange(len(faces), device=uvz.device)[None, :, None]
    keys = (torch.where(inside, depth, 1.0).float().view(torch.int32).long() << 32) | index
    flat = torch.full((len(uvz), height * width + 1), NONE, device=uvz.device)
    flat.scatter_reduce_(1, torch.where(inside, place, height * width).flatten(1), keys.flatten(1), "amin")
    nearest = flat[:, :-1].reshape(-1, height, width)
    face = torch.where(nearest == NONE, torch.full_like(nearest, -1), nearest & 0xFFFFFFFF)
    return face, _barycentric(uvz, faces, face)


def _candidates(uv: Tensor, faces: Tensor, height: int, width: int, window: int) -> tuple[Int[Tensor, "c f w2"], Float[Tensor, "c f w2 3"]]:
    """Place in the flat picture (its end where outside of it) and weights of every pixel of every face's window; negative is outside."""
    corners = uv[:, faces]
    first = (corners.amin(2) - 0.5).ceil()
    steps = torch.arange(window, device=uv.device, dtype=uv.dtype)
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(-1, 2)
    pixels = first[:, :, None] + offsets
    weights = _weights(corners, pixels + 0.5)
    x, y = pixels.long().unbind(-1)
    there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return torch.where(there, y * width + x, height * width), weights


def _weights(corners: Float[Tensor, "c f 3 2"], points: Float[Tensor, "c f n 2"]) -> Float[Tensor, "c f n 3"]:
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
    v, u = torch.meshgrid(torch.arange(height, device=uvz.device), torch.arange(width, device=uvz.device), indexing="ij")
    centres = (torch.stack([u, v], -1) + 0.5).to(uvz).expand(views, -1, -1, -1)
    weights = _weights(points[..., :2], centres[..., None, :])[..., 0, :] / points[..., 2]
    bary = weights / weights.sum(-1, keepdim=True)
    return torch.where(face[..., None] >= 0, bary, torch.zeros_like(bary))
