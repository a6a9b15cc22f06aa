"""Cutting a square out of a photo: where it lies, its pixels, and the person's own colours at soft edges."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.matting.pieces import Person

HEIGHT, WIDTH = 0.70, 0.80  # share of the square that the person's box has, whichever makes the square larger
PELVIS = 0.47  # of the box's height, from its top

LARGEST = 2048  # pixels of the longer side of what a photo is reduced to; views are far smaller

EDGE = 0.015  # of a square picture: how far from a soft edge the person's own colours are looked for

Square = tuple[float, float, float]  # x and y of the upper left corner and side, in pixels of the photo


def limited(
    pixels: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"] | None, largest: int = LARGEST
) -> tuple[Float[np.ndarray, "k l 3"], Float[np.ndarray, "k l"] | None]:
    """Large photos averaged down by a whole factor, so that no stage spends seconds on pixels that nobody
    will see."""
    step = factor(pixels.shape, largest)
    if step == 1:
        return pixels, alpha
    height, width = (side // step * step for side in pixels.shape[:2])
    pixels = pixels[:height, :width]
    if alpha is None:
        return _block_means(pixels, step), None
    weight = alpha[:height, :width, None] + 1e-4
    reduced = _block_means(pixels * weight, step) / _block_means(weight, step)
    return reduced, _block_means(alpha[:height, :width, None], step)[..., 0]


def _block_means(values: Float[np.ndarray, "h w c"], step: int) -> Float[np.ndarray, "k l c"]:
    """Means over step x step pixels; along one axis after the other, which is far quicker than both at
    once."""
    height, width, channels = values.shape
    rows = values.reshape(height // step, step, width, channels).mean(1)
    return rows.reshape(height // step, width // step, step, channels).mean(2)


def factor(shape: tuple[int, ...], largest: int = LARGEST) -> int:
    """How many pixels of a photo of that shape `limited` makes one of."""
    return -(-max(shape[:2]) // largest)


def frame_square(shape: tuple[int, ...]) -> Square:
    """The whole frame, its shorter side padded equally on both ends."""
    height, width = shape[:2]
    side = max(height, width)
    return (width - side) / 2, (height - side) / 2, float(side)


def usual_framing(shape: tuple[int, ...], person: Person) -> bool:
    """Tell whether a cut-out already has the framing of the project's own pictures."""
    height = person.box[2] - person.box[0]
    return abs(shape[0] - shape[1]) <= 0.02 * shape[1] and 0.45 <= height <= 0.92


def person_square(mask: Float[np.ndarray, "h w"], person: Person) -> Square:
    """A square in which the person has the size and place that they have in front of the canonical camera.

    The middle is the pelvis': PELVIS of the box from its top, and across where the hips are (the mask's mean
    column between 38 and 58 % of the height), since stretched arms move the box but not the pelvis.
    """
    height, width = mask.shape
    top, left, bottom, right = (
        share * full for share, full in zip(person.box, (height, width, height, width), strict=True)
    )
    tall = bottom - top
    band = mask[round(top + 0.38 * tall) : max(round(top + 0.58 * tall), round(top + 0.38 * tall) + 1)].sum(0)
    x = float((band * (np.arange(width) + 0.5)).sum() / band.sum()) if band.sum() > 0 else (left + right) / 2
    y = top + PELVIS * tall
    reach = 2 * max(right - x, x - left) / 0.96  # whatever is stretched out must stay inside
    side = max(tall / HEIGHT, (right - left) / WIDTH, reach)
    return x - side / 2, y - side / 2, side


def cut_square(
    pixels: Float[np.ndarray, "h w 3"],
    mask: Float[np.ndarray, "h w"] | None,
    square: Square,
    size: int,
    *,
    straight: bool,
) -> tuple[Float[Tensor, "s s 3"], Float[Tensor, "s s"]]:
    """Colours and mask of the square at `size` pixels; outside of the photo the mask is 0.

    Args:
        mask: None: the whole photo; beyond it is white, and so is the mask.
        straight: the colours stay as they are. Otherwise they are replaced, where the mask is soft, by those
        of the
            person nearby: in photos they are mixed with the background there, and in many cut-outs too.
    """
    crop, window = _padded_crop(pixels, mask, square)
    step = max(1, int(square[2] / size))
    values = torch.cat([crop[:, :3] * crop[:, 3:], crop[:, 3:]], 1)
    if step > 1:
        values = F.avg_pool2d(values, step, ceil_mode=True, count_include_pad=False)
    grid = _grid(window, (values.shape[-2] * step, values.shape[-1] * step), size)
    values = F.grid_sample(
        values, grid, mode="bicubic" if square[2] < size else "bilinear", align_corners=False
    )[0]
    alpha = values[3].clamp(0, 1)
    colors = (values[:3] / alpha.clamp(min=1e-3)).clamp(0, 1)
    if not straight:
        colors = own_colors(colors, alpha, EDGE * size)
    return colors.movedim(0, -1).contiguous(), alpha


def paste_square(
    mask: Float[np.ndarray, "s s"], square: Square, shape: tuple[int, ...]
) -> Float[np.ndarray, "h w"]:
    """The mask of a square where it lies in the photo of `shape`; 0 beside it."""
    x, y, side = square
    rows, columns = (
        (np.arange(shape[0]) + 0.5 - y) / side,
        (np.arange(shape[1]) + 0.5 - x) / side,
    )  # share of the square
    v, u = torch.meshgrid(torch.from_numpy(rows), torch.from_numpy(columns), indexing="ij")
    grid = (torch.stack([u, v], -1)[None] * 2 - 1).float()
    return F.grid_sample(torch.from_numpy(mask)[None, None], grid, align_corners=False)[0, 0].numpy()


def _padded_crop(
    pixels: np.ndarray, mask: np.ndarray | None, square: Square
) -> tuple[Float[Tensor, "1 4 k l"], Square]:
    """The part of the photo under the square (edges repeated, mask 0 outside) and the square in its
    pixels."""
    height, width = pixels.shape[:2]
    x, y, side = square
    left, top, right, bottom = (
        int(np.floor(x)) - 2,
        int(np.floor(y)) - 2,
        int(np.ceil(x + side)) + 2,
        int(np.ceil(y + side)) + 2,
    )
    rows, columns = np.arange(top, bottom), np.arange(left, right)
    colors = pixels[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    if mask is None:
        colors, alpha = np.where(inside[..., None], colors, 1), np.ones(inside.shape)
    else:
        alpha = np.where(inside, mask[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)], 0)
    crop = np.concatenate([colors, alpha[..., None]], -1).astype(np.float32)
    return torch.from_numpy(crop).movedim(-1, 0)[None], (x - left, y - top, side)


def _grid(square: Square, shape: tuple[int, int], size: int) -> Float[Tensor, "1 s s 2"]:
    """Where the square's pixels are sampled, in grid_sample's coordinates."""
    x, y, side = square
    steps = (torch.arange(size) + 0.5) / size * side
    v, u = torch.meshgrid((steps + y) / shape[0] * 2 - 1, (steps + x) / shape[1] * 2 - 1, indexing="ij")
    return torch.stack([u, v], -1)[None].float()


def own_colors(
    colors: Float[Tensor, "3 h w"], alpha: Float[Tensor, "h w"], reach: float = 6.0
) -> Float[Tensor, "3 h w"]:
    """Foreground colours: where the mask is soft, the mean of what is surely the person, as near as it is
    found.

    Args:
        reach: pixels, rounded up to a power of two; where nothing sure is so near, as in wide regions of
        doubt,
            colours stay as they are.
    """
    sure = (alpha > 0.95).float()[None]
    spread = _spread(torch.cat([colors * sure, sure])[None], math.ceil(math.log2(reach)))[0]
    found = spread[3].clamp(min=1e-6)
    soft = ((1 - alpha) / 0.15).clamp(0, 1) * (10 * spread[3]).clamp(max=1)
    return colors + soft * (spread[:3] / found - colors)


def _spread(layers: Float[Tensor, "1 c h w"], times: int) -> Float[Tensor, "1 c h w"]:
    """Known values, times a last layer that says how far they are known, go on into what is unknown.

    Each time from a picture of half the size (push-pull, Gortler et al. 1996, "The lumigraph", section 3.4).
    """
    if times == 0 or max(layers.shape[-2:]) == 1:
        return layers
    half = _spread(F.avg_pool2d(layers, 2, ceil_mode=True), times - 1)
    wide = F.interpolate(half, scale_factor=2.0, mode="bilinear", align_corners=False)
    return layers + (1 - layers[:, -1:]) * wide[..., : layers.shape[-2], : layers.shape[-1]]
