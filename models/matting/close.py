"""A close look at one person of a photo: the square that they fill, and what lies under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from turnaround.models.matting.cutout import Square
from turnaround.models.matting.guided import guided_upsample
from turnaround.models.matting.scene import Scene
from turnaround.pipeline.values.camera import FILL

SEEN = 0.02  # of the mask: what has more is not cut off
AROUND = 4  # pixels of the scene that a part has around its square
Mask = Float[np.ndarray, "h w"]


@dataclass(frozen=True)
class Part:
    """What lies under a square of a photo, at one resolution."""

    pixels: Float[np.ndarray, "h w 3"]  # sRGB in [0, 1]
    mask: Float[np.ndarray, "h w"]  # soft, of one person
    square: Square  # in these pixels


def close_square(mask: Mask) -> Square:
    """The square about one person's soft mask, of which FILL is the longer side of their box.

    It is larger where faint parts of the mask (more than SEEN) would be cut off.

    Raises:
        ValueError: the mask is empty.
    """
    left, top, right, bottom = _box(mask > 0.5)
    x, y = (left + right) / 2, (top + bottom) / 2
    faint = _box(mask > SEEN)
    reach = max(x - faint[0], y - faint[1], faint[2] - x, faint[3] - y) + 1
    side = max(right - left, bottom - top) / FILL
    side = max(side, 2 * reach)
    return x - side / 2, y - side / 2, side


def part_under(scene: Scene, mask: Mask, square: Square, size: int) -> Part:
    """Pixels and mask from which a square is cut, as fine as the photo has them and the cut needs them.

    Args:
        mask: one person's, at the scene's size; the edges of a network's mask are followed into finer pixels.
        square: in pixels of the scene.
        size: pixels of the picture to be cut.
    """
    if scene.whole is None or square[2] >= size:
        return Part(scene.pixels, mask, square)
    whole, (height, width) = scene.whole, scene.shape
    x, y, side = square
    left, top = max(0, int(x) - AROUND), max(0, int(y) - AROUND)
    right, bottom = min(width, int(x + side) + AROUND), min(height, int(y + side) + AROUND)
    reduction = max(1, int(side * whole.step / size))
    window = (slice(top * whole.step, bottom * whole.step), slice(left * whole.step, right * whole.step))
    pixels, scale = _reduced(whole.pixels[window], reduction), whole.step / reduction
    theirs = mask[top:bottom, left:right]
    if whole.given is None:
        soft = _followed(theirs, pixels, scale)
    else:  # as it came, but for what is somebody else's
        soft = _reduced(whole.given[window], reduction) * (_sampled(theirs, pixels.shape[:2], scale) > 0)
    return Part(pixels, soft, ((x - left) * scale, (y - top) * scale, side * scale))


def _reduced(values: UInt8[np.ndarray, "*k"], factor: int) -> Float32[np.ndarray, "*l"]:
    """Means over whole blocks, in [0, 1]."""
    height, width = (side // factor * factor for side in values.shape[:2])
    picture = Image.fromarray(np.ascontiguousarray(values[:height, :width]))
    return np.asarray(picture.reduce(factor)).astype(np.float32) / np.float32(255)


def _sampled(mask: Mask, shape: tuple[int, ...], scale: float) -> Float32[np.ndarray, "k l"]:
    """The mask on a grid that begins where it does and has `scale` pixels for one of its own."""
    height, width = mask.shape
    rows, columns = ((np.arange(n) + 0.5) / scale for n in shape)
    rows, columns = rows / height * 2 - 1, columns / width * 2 - 1
    grid = np.stack(np.broadcast_arrays(columns[None], rows[:, None]), -1).astype(np.float32)
    values = torch.from_numpy(np.ascontiguousarray(mask, np.float32))[None, None]
    sampled = F.grid_sample(values, torch.from_numpy(grid)[None], align_corners=False, padding_mode="border")
    return sampled[0, 0].numpy()


def _followed(mask: Mask, pixels: Float32[np.ndarray, "k l 3"], scale: float) -> Float32[np.ndarray, "k l"]:
    """A network's mask at the size of finer pixels of the same place, whose edges it takes over."""
    shape = pixels.shape[:2]
    small = (round(shape[0] / scale), round(shape[1] / scale))
    coarse = torch.from_numpy(_sampled(mask, small, small[0] / shape[0] * scale))[None, None]
    return guided_upsample(coarse, torch.from_numpy(pixels).movedim(-1, 0)[None], max(shape))[0, 0].numpy()


def _box(inside: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if len(rows) == 0:
        raise ValueError("the mask is empty")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
