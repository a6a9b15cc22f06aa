"""Flat Gaussians, one for a pixel or for a block of like pixels, that lie on the surface and face their
camera."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from turnaround.models.detail.panel import Panel
from turnaround.pipeline.values.camera import camera_center
from turnaround.pipeline.values.rotation import matrix_to_quat
from turnaround.pipeline.values.types import Gaussians

SIGMA = 0.55  # standard deviation over the distance of neighbours
FLAT = 0.15  # thickness over it
GRAZING = 0.25  # cosine below which a Gaussian grows no longer
OPAQUE = 0.98
STEEP = 0.003  # metres of depth for a pixel, above which a surface is not even


def surfels(panel: Panel, chosen: Bool[np.ndarray, "h w"], merge: int, like: float) -> Gaussians:
    """Gaussians of the chosen pixels of a picture.

    Args:
        panel: the picture on the surface.
        chosen: pixels to stand for.
        merge: side of the largest block of like, wholly chosen pixels that becomes one Gaussian: 1, 2, 4, ...
        like: range of a colour within a block.
    """
    size = blocks(panel, chosen, merge, like)
    centres = np.argwhere(size > 0)
    side = size[size > 0]
    picked = [
        _means(array, centres, side)
        for array in (panel.points, panel.normal, panel.colors, panel.view.mask.numpy(), panel.depth)
    ]
    points, normals, colors, mask, depth = picked
    step = depth * side / float(panel.view.camera.K[0, 0])
    return flat(
        points, normals, camera_center(panel.view.camera).numpy(), step, colors, OPAQUE * mask.clip(0, 1)
    )


def flat(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    eye: Float[np.ndarray, "3"] | Float[np.ndarray, "n 3"],
    step: Float[np.ndarray, " n"],
    colors: Float[np.ndarray, "n 3"],
    opacities: Float[np.ndarray, " n"],
) -> Gaussians:
    """Discs on a surface, drawn out along the slope so that pixels `step` metres apart leave no gaps."""
    normal = normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9)
    sight = eye - points
    sight /= np.linalg.norm(sight, axis=1, keepdims=True) + 1e-9
    cosine = (normal * sight).sum(1)
    normal = np.where(cosine[:, None] < 0, -normal, normal)
    cosine = np.abs(cosine).clip(GRAZING, 1)
    along = sight - (sight * normal).sum(1, keepdims=True) * normal
    short = np.linalg.norm(along, axis=1) < 1e-4
    along[short] = np.cross(normal[short], np.roll(normal[short], 1, axis=1) + np.array([0.1, 0.2, 0.3]))
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    axes = np.stack([along, np.cross(normal, along), normal], -1)
    scales = (
        SIGMA
        * step[:, None]
        * np.stack([1 / cosine, np.ones_like(cosine), np.full_like(cosine, FLAT / SIGMA)], 1)
    )
    values = (points, matrix_to_quat(torch.from_numpy(axes).float()), scales, opacities, colors)
    return Gaussians(*(torch.as_tensor(v).float().contiguous() for v in values))


def blocks(panel: Panel, chosen: Bool[np.ndarray, "h w"], merge: int, like: float) -> Int[np.ndarray, "h w"]:
    """Side of the block whose upper left pixel this is, 0 for all others.

    A block is made of four of half its side, whose colours differ by less than `like` (half as much again for
    the smallest, which show noise first), on an even and opaque piece of the surface.
    """
    size = chosen.astype(np.int32)
    below = chosen & (panel.view.mask.numpy() > 0.95)  # blocks of half the side
    low, high = panel.colors, panel.colors
    near, far = panel.depth, panel.depth
    side = 2
    while side <= merge:
        low, high, near, far = (
            _of_four(f, a)
            for f, a in ((np.minimum, low), (np.maximum, high), (np.minimum, near), (np.maximum, far))
        )
        alike = (high - low).max(-1) < like * (1.5 if side == 2 else 1.0)
        below = _of_four(np.logical_and, below) & alike & (far - near < STEEP * side)
        covered = np.repeat(np.repeat(below, side, 0), side, 1)
        part = size[: covered.shape[0], : covered.shape[1]]
        part[covered] = 0
        part[::side, ::side][below] = side
        side *= 2
    return size


def _of_four(combine: np.ufunc, array: np.ndarray) -> np.ndarray:
    """Each two by two values as one; an odd last row or column is left out."""
    rows, columns = (length // 2 * 2 for length in array.shape[:2])
    upper, lower = array[0:rows:2, :columns], array[1:rows:2, :columns]
    both = combine(upper, lower)
    return combine(both[:, 0::2], both[:, 1::2])


def _means(array: np.ndarray, corners: Int[np.ndarray, "n 2"], side: Int[np.ndarray, " n"]) -> np.ndarray:
    """Mean of the array over each block."""
    y, x = corners.T
    total = array[y, x]
    for length in np.unique(side[side > 1]):
        of = np.flatnonzero(side == length)
        rows, columns = y[of], x[of]
        whole = sum(array[rows + dy, columns + dx] for dy in range(length) for dx in range(length))
        total[of] = whole / np.float32(length * length)
    return total
