"""The user's own picture from behind, which takes the place of the model."""

from __future__ import annotations

import numpy as np
import torch

from turnaround.pipeline.photos.photo import decode
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import View

INK = 0.97  # darker than that in any channel is the person, where there is no alpha channel


def given_view(data: bytes) -> View:
    """Decode a picture on the grid of the coarse view; without alpha, what is not white is the person.

    Raises:
        StageError: it is no picture, or not a square one.
    """
    pixels, alpha = decode(data, "the back view beside the photo")
    height, width = pixels.shape[:2]
    if height != width:
        raise StageError(
            f"the back view beside the photo has {width} x {height} pixels: expected a square picture on the "
            f"grid of 05_back_view/coarse.png; draw over that file and save it as NAME.back.png"
        )
    if alpha is None:
        alpha = (pixels.min(-1) < INK).astype(np.float32)
    pixels = pixels * alpha[..., None] + 1 - alpha[..., None]
    image, mask = (torch.from_numpy(array).float().contiguous() for array in (pixels, alpha))
    return View(image, mask, orbit_cameras([180.0], len(pixels))[0])
