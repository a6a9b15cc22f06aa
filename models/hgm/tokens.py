"""One person's tokens: pixels and points of the body's surface, each of which becomes a Gaussian."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from turnaround.models.hgm.image_branch import ImageMaps
from turnaround.models.hgm.inputs import HGMInput
from turnaround.pipeline.values.camera import camera_center, rays

UNKNOWN_DEPTH = 2.0  # metres to a person without a body; the canonical camera's distance

Chosen = Callable[[Float[Tensor, "g g"]], Bool[Tensor, "g g"]]  # mask -> the pixels that become Gaussians


@dataclass(frozen=True)
class PixelTokens:
    """What is known of the n pixels of a person that become Gaussians, one view after the other."""

    raw: Float[Tensor, "n 14"]  # the Gaussian's raw values; a head names their channels (heads.py)
    pixels: Int[Tensor, "n 3"]  # view, row, column
    feature: Float[Tensor, "n c"]  # of the image branch
    base: Float[Tensor, " n"]  # metres along the camera's axis to the body's surface
    centre: Float[Tensor, "n 3"]  # of the camera, world
    ray: Float[Tensor, "n 3"]  # of depth 1, world
    color: Float[Tensor, "n 3"]  # of the picture, background taken out
    footprint: float  # width of a pixel at depth 1, metres

    def __len__(self) -> int:
        return len(self.raw)


@dataclass(frozen=True)
class BodyTokens:
    """What is known of n points on a person's body."""

    raw: Float[Tensor, "n 18"]  # the Gaussian's raw values, see `body_gaussians`
    code: Float[Tensor, "n c"]  # of the body branch
    points: Float[Tensor, "n 3"]  # world
    normals: Float[Tensor, "n 3"]
    own: Float[Tensor, "n 3"]  # colour of the point's pixel
    mirrored: Float[Tensor, "n 3"]  # colour of the mirror point's pixel
    part: Float[Tensor, "n 3"]  # mean colour of what is seen of its body part
    seen: Float[Tensor, " n"]  # is the point seen, and inside the mask
    mirror_seen: Float[Tensor, " n"]
    part_seen: Float[Tensor, " n"]
    spacing: float  # metres between neighbouring points


def pixel_tokens(maps: ImageMaps, inputs: HGMInput, person: int, chosen: Chosen) -> PixelTokens:
    """Gather one person's pixels from all views."""
    views = [_of_view(maps, inputs, person, view, chosen) for view in range(inputs.views)]
    joined = {
        field.name: torch.cat([getattr(view, field.name) for view in views])
        for field in dataclasses.fields(PixelTokens)
        if field.name != "footprint"
    }
    return PixelTokens(**joined, footprint=views[0].footprint)


def _of_view(maps: ImageMaps, inputs: HGMInput, person: int, view: int, chosen: Chosen) -> PixelTokens:
    features, raw = maps.features[person, view], maps.raw[person, view]
    size, camera = raw.shape[-1], inputs.camera(person, view)  # size: Gaussians a side, at most one a pixel
    mask, color = (_at(picture[person, view], size) for picture in (inputs.mask, inputs.rgb))
    row, column = chosen(mask[0]).nonzero().unbind(1)
    coarser, step = size / features.shape[-1], inputs.size // size
    return PixelTokens(
        raw=raw[:, row, column].T,
        pixels=torch.stack([torch.full_like(row, view), row, column], 1),
        feature=features[:, (row / coarser).long(), (column / coarser).long()].T,
        base=_depth_of_body(inputs, person, view, size)[row, column],
        centre=camera_center(camera).expand(len(row), 3),
        ray=rays(camera)[row * step + step // 2, column * step + step // 2],
        color=color[:, row, column].T,
        footprint=float(step / inputs.K[person, 0, 0, 0]),
    )


def _at(picture: Float[Tensor, "c s s"], size: int) -> Float[Tensor, "c g g"]:
    return picture if picture.shape[-1] == size else F.adaptive_avg_pool2d(picture, size)


def _depth_of_body(inputs: HGMInput, person: int, view: int, size: int) -> Float[Tensor, "g g"]:
    """Metres to the body's surface as one view sees it, `UNKNOWN_DEPTH` for a person without a body."""
    if not inputs.has_body[person]:
        return torch.full((size, size), UNKNOWN_DEPTH, device=inputs.rgb.device)
    depth = inputs.body_depth[person, view : view + 1]
    return F.interpolate(depth, size=(size, size), mode="bilinear", align_corners=False)[0, 0]
