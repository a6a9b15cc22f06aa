"""A picture of the person laid on the surface: the depth of every pixel of its mask."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage

from turnaround.models.detail.sight import Sight, facing, look
from turnaround.models.exemplar.guidance import nearest
from turnaround.models.mesh.surface import Surface
from turnaround.pipeline.values.crop import tight
from turnaround.pipeline.values.types import Camera, View

PRESENT = 0.02  # mask from which on a pixel is somebody
COVERED = 0.3  # mask above which a pixel's own colour can be told
JUMP = 0.03  # metres between neighbouring pixels, above which one surface hides another
STEPS = 12  # or so many times the width of a pixel there, where that is more
BAND = 8  # pixels, at a picture of 1,024, on both sides of such an edge whose owner the colours decide
WIDER = 64  # pixels by which a surface may stick out of a mask that is not right
EDGE = 4  # pixels within the mask's edge that are the person's edge
GRAZING = 0.4  # cosine below which a surface is
RIM = 3  # pixels within the mask's edge whose colours are not carried to other pictures
ALIKE = 0.08  # standard deviation of a colour within a surface


@dataclass(frozen=True)
class Panel:
    """One picture and what it shows."""

    view: View
    sight: Sight
    colors: Float[np.ndarray, "h w 3"]  # the person's own, not mixed with white at soft edges
    depth: Float[np.ndarray, "h w"]  # metres, 0 off the mask
    normal: Float[np.ndarray, "h w 3"]
    facing: Float[np.ndarray, "h w"]  # cosine to the camera, 0 off the mask
    sure: Bool[np.ndarray, "h w"]  # where its colours may be carried to other pictures

    @property
    def points(self) -> Float[np.ndarray, "h w 3"]:
        """World points of the pixels."""
        return self.sight.points(self.depth)


def lay(view: View, surface: Surface, *, beyond: bool = True) -> Panel:
    """Lay a picture on the surface; only the part of the picture that holds the person is kept.

    Pixels of a photo's mask that miss the surface take the depth of the nearest that hit it. Where one limb
    hides another the surface's edge and the photo's do not fall together: within BAND pixels of such an edge
    each pixel goes to the side whose colours it has.

    Args:
        view: picture, mask and camera.
        surface: of the person.
        beyond: the picture's edges are right, and what its mask holds beyond the surface is the person too;
        otherwise the
            surface's edges are, as for a picture that was made of it.

    Raises:
        ValueError: the mask and the surface do not overlap.
    """
    scale = view.camera.width / 1024
    view = tight(view, margin=8 if beyond else round(WIDER * scale))
    sight = look(surface, view.camera)
    mask = view.mask.numpy()
    inside = mask > PRESENT
    if not (sight.hit & inside).any():
        raise ValueError("the picture's mask and the surface do not overlap")
    colors = own_colors(view)
    depth, normal = nearest(sight.hit, sight.depth, sight.normal)
    if beyond:
        jump = max(JUMP, STEPS * float(np.median(depth[inside])) / float(view.camera.K[0, 0]))
        source = owners(colors, depth, sight.hit & inside, inside, jump, max(2, round(BAND * scale)))
        depth, normal = depth[source], normal[source]
    else:
        view, inside = _covering(colors, sight, view.camera), sight.hit
        mask = view.mask.numpy()
    cosine = np.where(inside, np.abs(facing(sight.ray, normal)), 0)
    if beyond:
        depth, normal, cosine = _brought_forward(depth, normal, cosine, inside)
    rim = max(1, round(RIM * scale))
    sure = ndimage.minimum_filter(mask > 0.9, 2 * rim + 1)
    return Panel(view, sight, colors, np.where(inside, depth, 0), normal, cosine, sure)


def _brought_forward(
    depth: np.ndarray, normal: np.ndarray, cosine: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The person's edge as near as what is not grazing beside it: at the horizon's own depth it would stand
    alone behind the body."""
    straight = inside & (cosine > GRAZING)
    if not straight.any():
        return depth, normal, cosine
    within = np.asarray(ndimage.minimum_filter(inside, 2 * EDGE + 1), bool)
    moved = inside & ~within & ~straight
    near = nearest(straight, depth, normal, cosine)
    shape = lambda array: moved[..., None] if array.ndim == 3 else moved  # noqa: E731
    brought = [np.where(shape(old), new, old) for old, new in zip((depth, normal, cosine), near, strict=True)]
    return brought[0], brought[1], brought[2]


def _covering(colors: Float[np.ndarray, "h w 3"], sight: Sight, camera: Camera) -> View:
    """The colours wherever the surface is."""
    mask = torch.from_numpy(sight.hit).float()
    return View(torch.from_numpy(colors) * mask[..., None] + 1 - mask[..., None], mask, camera)


def own_colors(view: View) -> Float[np.ndarray, "h w 3"]:
    """The person's own colours: the picture without the white that it is mixed with; hardly covered pixels
    take their neighbours'."""
    image, mask = view.image.numpy(), view.mask.numpy()
    share = np.maximum(mask, 1e-3)[..., None]
    straight = ((image - (1 - share)) / share).clip(0, 1).astype(np.float32)
    return np.ascontiguousarray(nearest(mask > min(COVERED, 0.99 * float(mask.max())), straight)[0])


def owners(
    colors: Float[np.ndarray, "h w 3"],
    depth: Float[np.ndarray, "h w"],
    seen: Bool[np.ndarray, "h w"],
    inside: Bool[np.ndarray, "h w"],
    limit: float,
    band: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels from which each one takes its surface: its own, except in a band about
    jumps of the depth."""
    jump = ndimage.maximum_filter(depth, 3) - ndimage.minimum_filter(depth, 3) > limit
    unsure = ndimage.maximum_filter(jump, band + 1) & inside
    source = np.indices(depth.shape, np.int32)
    decide(colors, np.asarray(depth, np.float32), seen & ~unsure, unsure, band, source)
    return source[0], source[1]


@numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def decide(colors, depth, certain, unsure, reach, source):  # pragma: no cover - compiled
    """For unsure pixels: row and column of the certain pixel that they take their surface from.

    Certain pixels within 2 `reach` fall into near and far ones, parted at the middle of their depths. Each
    votes by its likeness in colour and place; the nearest pixel of the stronger side is taken, the pixel
    itself where there is no certain one.
    """
    height, width = depth.shape
    spread, alike = 2.0 * (1.2 * reach) ** 2, 2.0 * ALIKE**2
    for y in numba.prange(height):
        for x in range(width):
            if not unsure[y, x]:
                continue
            top, bottom = max(0, y - 2 * reach), min(height, y + 2 * reach + 1)
            left, right = max(0, x - 2 * reach), min(width, x + 2 * reach + 1)
            low, high = np.float32(1e9), np.float32(0)
            for v in range(top, bottom):
                for u in range(left, right):
                    if certain[v, u]:
                        low, high = min(low, depth[v, u]), max(high, depth[v, u])
            if high == 0:
                continue
            votes, best = np.zeros(2), np.zeros(2)
            place = np.full((2, 2), -1)
            for v in range(top, bottom):
                for u in range(left, right):
                    if certain[v, u]:
                        side = 0 if depth[v, u] <= 0.5 * (low + high) else 1
                        other = 0.0
                        for c in range(3):
                            other += (colors[y, x, c] - colors[v, u, c]) ** 2
                        near = np.exp(-((v - y) ** 2 + (u - x) ** 2) / spread)
                        votes[side] += near * (np.exp(-other / alike) + 1e-6)
                        if near > best[side]:
                            best[side], place[side, 0], place[side, 1] = near, v, u
            side = 0 if votes[0] >= votes[1] else 1
            source[0, y, x], source[1, y, x] = place[side, 0], place[side, 1]
