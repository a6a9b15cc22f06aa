"""Raw values of the points -> Gaussians: the paper's activations, or discs on the skin that copy pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.crop import project_plane, to_window
from turnaround.models.gst.anchors import Anchors, Posed
from turnaround.models.gst.config import GSTConfig
from turnaround.models.gst.heads import CHANNELS, MIXTURE
from turnaround.models.hgm.inputs import unpremultiply
from turnaround.models.hgm.surface import SKIN
from turnaround.pipeline.values.rotation import matrix_to_quat, quat_multiply
from turnaround.pipeline.values.types import Gaussians

CELLS = 48  # of the window's side: a point is hidden by one in its cell that is nearer by THICK
THICK = 0.05  # metres
# logits to begin with: of the point's own pixel, its left-right mirror image's, that of the point before or
# behind it, the free colour
FIRST = (6.0, 3.0, 3.0, 0.0)


def activated(
    raw: dict[str, Float[Tensor, "b m c"]],
    posed: Posed,
    anchors: Anchors,
    config: GSTConfig,
    pixels: Float[Tensor, "b 4 s s"],
    window: Float[Tensor, "b 3"],
) -> tuple[list[Gaussians], Float[Tensor, "b n 3"]]:
    """Every person's Gaussians in the frame of the posed points, and their offsets from the skin, metres."""
    count = len(anchors) * config.each
    # the last group's head may say more than there are points
    values = {kind: value[:, :count].float() for kind, value in raw.items()}
    points, frames = (x.repeat_interleave(config.each, 1) for x in (posed.points, posed.frames))
    quats = F.normalize(values["turn"] + torch.tensor([1.0, 0, 0, 0], device=points.device), dim=-1)
    offset, scale = values["offset"], values["scale"]
    if config.frame == "surface":
        quats = quat_multiply(matrix_to_quat(frames), quats)
        offset = (frames @ offset[..., None])[..., 0]
        spacing = 0.65 * (SKIN / count) ** 0.5
        scale = scale.clamp(-3, 2.5) + torch.tensor([1.0, 1.0, 0.3], device=scale.device).mul(spacing).log()
    opacity = torch.sigmoid(values["opacity"][..., 0])
    if config.opacity == "one":
        opacity = torch.ones_like(opacity)
    color = _colors(values["color"], posed, anchors, config, pixels, window)
    means, scales = points + offset, torch.exp(scale.clamp(max=-1.0))
    people = [Gaussians(*fields) for fields in zip(means, quats, scales, opacity, color, strict=True)]
    return people, offset


def _colors(
    raw: Float[Tensor, "b n c"],
    posed: Posed,
    anchors: Anchors,
    config: GSTConfig,
    pixels: Float[Tensor, "b 4 s s"],
    window: Float[Tensor, "b 3"],
) -> Float[Tensor, "b n 3"]:
    if config.colors == "free":
        return torch.sigmoid(raw)
    free, mixture = raw.split((CHANNELS["color"], MIXTURE), -1)
    own, seen = copied(posed, pixels, window)
    others = (anchors.mirror, anchors.across)
    known = torch.stack([seen, *(seen[:, other] for other in others), torch.ones_like(seen)], -1)
    copies = torch.stack([own, *(own[:, other] for other in others)], -2)
    known, copies = (x.repeat_interleave(config.each, 1) for x in (known, copies))
    # what nobody sees is not copied: a pixel in front of it is another part's
    logits = (mixture + torch.tensor(FIRST, device=seen.device)).masked_fill(known == 0, -30.0)
    colors = torch.cat([copies, torch.sigmoid(free)[..., None, :]], -2)
    return (torch.softmax(logits, -1)[..., None] * colors).sum(-2)


@torch.no_grad()
def copied(
    posed: Posed, pixels: Float[Tensor, "b 4 s s"], window: Float[Tensor, "b 3"]
) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n"]]:
    """Colour of the pixel that each point falls on, and 1 where it is the point's own.

    No gradient: a point would look for a pixel of its colour rather than for its place.
    """
    color, mask = pixels.split((3, 1), 1)
    picture = torch.cat([unpremultiply(color, mask), mask], 1)
    at = to_window(project_plane(posed.points), window)
    read = F.grid_sample(picture, at[:, :, None], align_corners=False)[..., 0].transpose(1, 2)
    towards = F.normalize(posed.points + torch.tensor([0, 0, 2.0], device=at.device), dim=-1)
    facing = (posed.frames[..., 2] * towards).sum(-1) < -0.1
    depth = posed.points[..., 2]
    cell = ((at + 1) / 2 * CELLS).long().clamp(0, CELLS - 1)
    cell = cell[..., 1] * CELLS + cell[..., 0]
    nearest = torch.full((len(depth), CELLS * CELLS), float("inf"), device=depth.device)
    nearest = nearest.scatter_reduce(1, cell, depth, "amin")
    front = depth < nearest.gather(1, cell) + THICK
    colors, seen = read.split((3, 1), -1)
    return colors.clamp(0, 1), (facing & front & (seen[..., 0] > 0.5)).to(depth.dtype)
