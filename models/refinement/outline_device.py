"""The silhouette loss of `outline.py` in torch operations, all views in one call, for a body that is on a GPU
and should stay there.

The same matching with two differences: every edge of the outline has the same number of samples, weighted by
their length, and nearest points are found by comparing all with all. Sizes are fixed before, so nothing in an
iteration waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from turnaround.models.mesh.silhouette import MeshEdges
from turnaround.models.mesh.silhouette.contour import OUTSIDE
from turnaround.models.mesh.zbuffer_torch import Windows, covered, enlarged, windows_of
from turnaround.models.refinement.outline import OutlineTarget
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Camera, TensorRecord

SAMPLES = 2  # sub-pixels along each side of a pixel in the test of what is hidden
ROOM = 2.0  # outline edges for which there is room, over those of the first body
PAIRS = 1 << 28  # of samples and mask points whose distances are held together, 4 bytes each


@dataclass(frozen=True)
class DeviceEdges(TensorRecord):
    """`MeshEdges` as tensors."""

    faces: Int[Tensor, "f 3"]
    ends: Int[Tensor, "e 2"]
    sides: Int[Tensor, "e 2"]
    opposite: Int[Tensor, " e"]

    @staticmethod
    def of(edges: MeshEdges, device: torch.device) -> DeviceEdges:
        """The same topology on a device."""
        return DeviceEdges(
            *(
                torch.from_numpy(x).long().to(device)
                for x in (edges.faces, edges.ends, edges.sides, edges.opposite)
            )
        )


@dataclass(frozen=True)
class Sizes:
    """What is fixed before the loop."""

    windows: Windows  # pixels that hold the faces
    edges: int  # outline edges a view
    pieces: int  # samples of an edge


@dataclass(frozen=True)
class DeviceTargets(TensorRecord):
    """Mask outlines of all views, padded to the same length."""

    points: Float[Tensor, "c m 2"]  # pixels
    normals: Float[Tensor, "c m 2"]
    valid: Bool[Tensor, "c m"]

    @staticmethod
    def of(targets: list[OutlineTarget | None], device: torch.device) -> DeviceTargets:
        """Of the outlines that `outline_target` finds; a view without one has no valid point."""
        longest = max(1, *(len(target.points) if target else 0 for target in targets))
        points, normals = torch.zeros(len(targets), longest, 2), torch.zeros(len(targets), longest, 2)
        valid = torch.zeros(len(targets), longest, dtype=torch.bool)
        for view, target in enumerate(targets):
            if target is not None:
                count = len(target.points)
                points[view, :count], normals[view, :count] = (
                    torch.from_numpy(target.points),
                    torch.from_numpy(target.normals),
                )
                valid[view, :count] = True
        return DeviceTargets(points.to(device), normals.to(device), valid.to(device))


@dataclass(frozen=True)
class Samples:
    """Samples of the body's outline; point = (1 - t) * uv[a] + t * uv[b]. Constants."""

    points: Float[Tensor, "c n 2"]
    normals: Float[Tensor, "c n 2"]  # unit, out of the mask
    lengths: Float[Tensor, "c n"]  # 0 for a sample that is hidden or fills up
    a: Int[Tensor, "c n"]
    b: Int[Tensor, "c n"]
    t: Float[Tensor, " n"]


def sizes_for(vertices: Float[Tensor, "v 3"], edges: DeviceEdges, cameras: Camera) -> Sizes:
    """Room for a body that is seen as this one, and moves; waits for the device, so ask once."""
    uv, depth = project(vertices, cameras)
    scale = float(cameras.K[..., 0, 0].max() / depth.min())
    room = int(_outline(uv, edges).sum(1).max().item() * ROOM) + 1
    pieces = 2 * max(1, round(cameras.width / 256))
    return Sizes(windows_of(vertices, edges.faces, scale), min(room, len(edges.ends)), pieces)


def outline_losses_on_device(
    vertices: Float[Tensor, "v 3"],
    edges: DeviceEdges,
    cameras: Camera,
    targets: DeviceTargets,
    view_weights: Float[Tensor, " c"],
    sizes: Sizes,
    *,
    direction_weight: float,
    huber: float,
    inside_weight: float,
) -> Float[Tensor, " c"]:
    """Weighted Huber loss of every view, in squared pixels; the meaning of the settings is that of
    `outline.py`."""
    uv = project(vertices, cameras)[0]
    samples = outline_samples(uv.detach(), edges, cameras, sizes)
    view = torch.arange(len(uv), device=uv.device)[:, None]
    t = samples.t[:, None]
    moved = (1 - t) * uv[view, samples.a] + t * uv[view, samples.b]
    forward, backward = nearest(samples, targets, direction_weight)
    found, wanted = targets.points[view, forward], targets.normals[view, forward]
    seen = samples.lengths * targets.valid.any(1, keepdim=True)
    there = targets.valid * (samples.lengths > 0).any(1, keepdim=True)
    parts = [
        (moved - found, wanted, seen / seen.sum(1, keepdim=True).clamp(min=1e-9)),
        (
            moved[view, backward] - targets.points,
            targets.normals,
            there / there.sum(1, keepdim=True).clamp(min=1),
        ),
    ]
    return view_weights * sum(_robust(*part, huber, inside_weight) for part in parts)


def _robust(
    residual: Tensor, normals: Tensor, weight: Tensor, huber: float, inside_weight: float
) -> Float[Tensor, " c"]:
    squared = (residual * residual).sum(-1)
    distance = (squared + 1e-12).sqrt()
    robust = torch.where(distance < huber, squared / 2, huber * (distance - huber / 2))
    uncovered = ((residual.detach() * normals).sum(-1) < 0).to(
        weight.dtype
    )  # the mask reaches beyond the body
    return (weight * (1 - (1 - inside_weight) * uncovered) * robust).sum(1)


def nearest(
    samples: Samples, targets: DeviceTargets, direction_weight: float
) -> tuple[Int[Tensor, "c n"], Int[Tensor, "c m"]]:
    """Index of the closest mask point of every sample, and of the closest sample of every mask point."""
    keys = torch.cat([samples.points, direction_weight * samples.normals], -1)
    wanted = torch.cat([targets.points, direction_weight * targets.normals], -1)
    hidden, invalid = (samples.lengths == 0)[..., None], ~targets.valid[:, None]
    step = max(1, PAIRS // (keys.shape[1] * wanted.shape[1]))
    parts = []
    for part in (slice(first, first + step) for first in range(0, len(keys), step)):
        distance = torch.cdist(keys[part], wanted[part]).masked_fill_(invalid[part], torch.inf)
        forward = distance.argmin(2)
        parts.append((forward, distance.masked_fill_(hidden[part], torch.inf).argmin(1)))
    forward, backward = zip(*parts, strict=True)
    return torch.cat(forward), torch.cat(backward)


def outline_samples(uv: Float[Tensor, "c v 2"], edges: DeviceEdges, cameras: Camera, sizes: Sizes) -> Samples:
    """Samples of the edges between a front and a back face that nothing covers."""
    index, real = _compact(_outline(uv, edges), sizes.edges)
    view = torch.arange(len(uv), device=uv.device)[:, None]
    (a, b), c = edges.ends[index].unbind(-1), edges.opposite[index]
    start, across = uv[view, a], uv[view, b] - uv[view, a]
    length = across.norm(dim=-1)
    normal = torch.stack([across[..., 1], -across[..., 0]], -1) / length.clamp(min=1e-6)[..., None]
    # both faces lie on the side of the third vertex
    outwards = torch.where(((uv[view, c] - start) * normal).sum(-1) > 0, -1.0, 1.0)
    normal = normal * outwards[..., None]
    t = (torch.arange(sizes.pieces, device=uv.device, dtype=uv.dtype) + 0.5) / sizes.pieces
    points = (start[:, :, None] + t[:, None] * across[:, :, None]).flatten(1, 2)
    normals, many = (
        x.repeat_interleave(sizes.pieces, 1) for x in (normal, real * (length > 1e-6) * length / sizes.pieces)
    )
    lengths = many * ~_hidden(points, normals, uv, edges, cameras, sizes)
    ends = [x.repeat_interleave(sizes.pieces, 1) for x in (a, b)]
    return Samples(points, normals, lengths, ends[0], ends[1], t.repeat(index.shape[1]))


def _hidden(
    points: Tensor, normals: Tensor, uv: Tensor, edges: DeviceEdges, cameras: Camera, sizes: Sizes
) -> Bool[Tensor, "c n"]:
    """Whether another part of the mesh lies just outside of a sample."""
    height, width = cameras.height * SAMPLES, cameras.width * SAMPLES
    mask = covered(uv * SAMPLES, edges.faces, height, width, enlarged(sizes.windows, SAMPLES)).flatten(1)
    x, y = (points * SAMPLES + normals * OUTSIDE).floor().long().unbind(-1)
    there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return mask.gather(1, torch.where(there, y * width + x, torch.zeros_like(x))) & there


def _outline(uv: Tensor, edges: DeviceEdges) -> Bool[Tensor, "c e"]:
    a, b, c = uv[:, edges.faces].unbind(2)
    front = (b - a)[..., 0] * (c - a)[..., 1] - (b - a)[..., 1] * (c - a)[..., 0] > 0
    left, right = front[:, edges.sides[:, 0]], front[:, edges.sides[:, 1].clamp(min=0)]
    return (edges.sides[:, 1] < 0) | (left != right)


def _compact(chosen: Bool[Tensor, "c e"], room: int) -> tuple[Int[Tensor, "c r"], Bool[Tensor, "c r"]]:
    """Indices of the first `room` chosen, and which of them are real; without waiting, unlike `nonzero`."""
    place = torch.where(chosen, chosen.cumsum(1) - 1, room).clamp(max=room)
    every = torch.arange(chosen.shape[1], device=chosen.device).expand_as(chosen)
    index = torch.zeros(len(chosen), room + 1, dtype=torch.long, device=chosen.device).scatter(
        1, place, every
    )[:, :-1]
    real = torch.arange(room, device=chosen.device)[None] < chosen.sum(1, keepdim=True)
    return index, real
