"""Raw values of the points -> Gaussians: the paper's activations, or discs on the skin that copy pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.crop import project_plane, to_window
from turnaround.models.gst.anchors import Anchors, Posed
from turnaround.models.gst.config import GSTConfig
from turnaround.models.gst.fill import Fill
from turnaround.models.gst.heads import CHANNELS
from turnaround.models.hgm.inputs import unpremultiply
from turnaround.models.hgm.surface import SKIN
from turnaround.pipeline.values.camera import DISTANCE
from turnaround.pipeline.values.rotation import matrix_to_quat, quat_multiply
from turnaround.pipeline.values.types import Gaussians

CELLS = 48  # of the window's side: a point is hidden by one in its cell that is nearer by THICK
THICK = 0.05  # metres
HAIR, RIM = 0.025, 0.3  # metres above the cranium where hair is looked for, and how far round its rim
# logits to begin with: of the point's own pixel, its left-right mirror image's, that of the point before or
# behind it, the free colour
FIRST = (6.0, 3.0, 3.0, 0.0)
FIRST_FILLED = (6.0, 3.0, 3.0, -1.0, 1.5)  # and of the nearest skin that is seen
FREE = 3  # which of them the free colour is
# how far finer Gaussians may leave discs on the skin: pictures of a training's size would else make needles
# of them, which hide their holes there and are hair in a larger one
TURN, STRETCH = 0.1, 0.5  # of a quaternion's imaginary parts; of logarithms of sizes


def activated(
    raw: dict[str, Float[Tensor, "b m c"]],
    posed: Posed,
    anchors: Anchors,
    config: GSTConfig,
    pixels: Float[Tensor, "b 4 s s"],
    window: Float[Tensor, "b 3"],
    fill: Fill | None = None,
    spacing: Float[Tensor, " m"] | None = None,
) -> tuple[list[Gaussians], Float[Tensor, "b n 3"]]:
    """Every person's Gaussians in the frame of the posed points, and their offsets from the skin, metres."""
    count = len(anchors) * config.each
    # the last group's head may say more than there are points
    values = {kind: value[:, :count].float() for kind, value in raw.items()}
    points, frames = (x.repeat_interleave(config.each, 1) for x in (posed.points, posed.frames))
    if config.finer:
        values = _gentle(values)
    quats = F.normalize(values["turn"] + torch.tensor([1.0, 0, 0, 0], device=points.device), dim=-1)
    offset, scale = values["offset"], values["scale"]
    if config.frame == "surface":
        quats = quat_multiply(matrix_to_quat(frames), quats)
        offset = (frames @ offset[..., None])[..., 0]
        apart = (
            torch.full_like(scale[0, :, :1], (SKIN / count) ** 0.5) if spacing is None else spacing[:, None]
        )
        disc = 0.65 * apart * torch.tensor([1.0, 1.0, 0.3], device=scale.device)
        scale = scale.clamp(-3, 2.5) + disc.log()
    opacity = torch.sigmoid(values["opacity"][..., 0])
    if config.opacity == "one":
        opacity = torch.ones_like(opacity)
    color = _colors(values["color"], posed, anchors, config, pixels, window, fill)
    means, scales = points + offset, torch.exp(scale.clamp(max=-1.0))
    people = [Gaussians(*fields) for fields in zip(means, quats, scales, opacity, color, strict=True)]
    return people, offset


def _gentle(values: dict[str, Float[Tensor, "b m c"]]) -> dict[str, Float[Tensor, "b m c"]]:
    """Sizes and turns near those of a disc on the skin."""
    real, imaginary = values["turn"].split((1, 3), -1)
    turn = torch.cat([real, TURN * torch.tanh(imaginary)], -1)
    return values | {"turn": turn, "scale": STRETCH * torch.tanh(values["scale"])}


def _colors(
    raw: Float[Tensor, "b n c"],
    posed: Posed,
    anchors: Anchors,
    config: GSTConfig,
    pixels: Float[Tensor, "b 4 s s"],
    window: Float[Tensor, "b 3"],
    fill: Fill | None,
) -> Float[Tensor, "b n 3"]:
    if config.colors == "free":
        return torch.sigmoid(raw)
    free, mixture = raw[..., : CHANNELS["color"]], raw[..., CHANNELS["color"] :]
    own, seen = copied(posed, pixels, window)
    others = (anchors.mirror, anchors.across)
    always, first = torch.ones_like(seen), FIRST if fill is None else FIRST_FILLED
    known = torch.stack([seen, *(seen[:, other] for other in others), always], -1)
    copies = torch.stack([own, *(own[:, other] for other in others)], -2)
    known, copies = (x.repeat_interleave(config.each, 1) for x in (known, copies))
    # what nobody sees is not copied: a pixel in front of it is another part's
    colors = torch.cat([copies, torch.sigmoid(free)[..., None, :]], -2)
    if fill is not None:
        known[..., 2] = known[..., 2].masked_fill(anchors.head.repeat_interleave(config.each), 0.0)
        cover = copied(posed, pixels, window, above=HAIR, rim=RIM)
        near = fill(own, seen, cover).repeat_interleave(config.each, 1)[..., None, :]
        colors, known = torch.cat([colors, near], -2), torch.cat([known, torch.ones_like(known[..., :1])], -1)
    if config.finer:
        known = known.index_fill(-1, torch.tensor([FREE], device=seen.device), 0.0)
    logits = (mixture + torch.tensor(first, device=seen.device)).masked_fill(known == 0, -torch.inf)
    return (torch.softmax(logits, -1)[..., None] * colors).sum(-2)


@torch.no_grad()
def copied(
    posed: Posed,
    pixels: Float[Tensor, "b 4 s s"],
    window: Float[Tensor, "b 3"],
    above: float = 0.0,
    rim: float = -0.1,
) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n"]]:
    """Colour of the pixel that each point falls on, and 1 where it is the point's own.

    No gradient: a point would look for a pixel of its colour rather than for its place.

    Args:
        posed, pixels, window: of a batch.
        above: read so far above the skin, metres.
        rim: cosine of normal and ray, above which a point looks away.
    """
    points = posed.points + above * posed.frames[..., 2] if above else posed.points
    color, mask = pixels.split((3, 1), 1)
    picture = torch.cat([unpremultiply(color, mask), mask], 1)
    at = to_window(project_plane(points), window)
    read = F.grid_sample(picture, at[:, :, None], align_corners=False)[..., 0].transpose(1, 2)
    towards = F.normalize(points + torch.tensor([0, 0, DISTANCE], device=at.device), dim=-1)
    facing = (posed.frames[..., 2] * towards).sum(-1) < rim
    depth = points[..., 2]
    cell = ((at + 1) / 2 * CELLS).long().clamp(0, CELLS - 1)
    cell = cell[..., 1] * CELLS + cell[..., 0]
    nearest = torch.full((len(depth), CELLS * CELLS), float("inf"), device=depth.device)
    nearest = nearest.scatter_reduce(1, cell, depth, "amin")
    front = depth < nearest.gather(1, cell) + THICK
    colors, seen = read.split((3, 1), -1)
    return colors.clamp(0, 1), (facing & front & (seen[..., 0] > 0.5)).to(depth.dtype)
