"""A View as one RGBA picture: straight colours, the mask as alpha, the camera as json in a text chunk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.PngImagePlugin import PngInfo

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.png import save_png
from turnaround.pipeline.formats.untrusted import MAX_PIXELS, open_picture, parse_json
from turnaround.pipeline.values.arrays import as_array
from turnaround.pipeline.values.types import Camera, View

_CHUNK = "turnaround:camera"
_TOLERANCE = 3 / 255  # two roundings to 8 bits, and one to spare


def save(view: View, path: Path) -> None:
    """Write `view`; ValueError where its image is not a composition over white by its own mask."""
    image, mask = as_array(view.image), as_array(view.mask)
    if image.shape != (*mask.shape, 3):
        raise FormatError(
            f"{path.name}: a view has an image (h, w, 3) and a mask (h, w), got {image.shape} and "
            f"{mask.shape}"
        )
    if not (np.isfinite(image).all() and np.isfinite(mask).all()):
        raise FormatError(f"{path.name}: the view's picture or mask is not finite")
    alpha = np.round(mask.clip(0, 1) * 255) / 255
    # colours outside of the mask cannot be kept: by contract they are white
    straight = np.where(
        alpha[..., None] > 0, (image - (1 - alpha[..., None])) / np.maximum(alpha[..., None], 1 / 255), 1
    ).clip(0, 1)
    off = np.abs(straight * alpha[..., None] + 1 - alpha[..., None] - image).max(initial=0)
    if off > _TOLERANCE:
        raise FormatError(
            f"{path.name}: the view's image is not composed over white by its mask (off by {off:.3f}); "
            f"composite it first"
        )
    rgba = np.concatenate([straight, alpha[..., None]], -1)
    info = PngInfo()
    info.add_text(_CHUNK, json.dumps(_camera_to_json(view.camera), sort_keys=True))
    save_png(np.round(rgba * 255).astype(np.uint8), path, info)


def load(path: Path) -> View:
    """Read what `save` wrote, composed over white; ValueError for a picture without a camera."""
    with open_picture(path, MAX_PIXELS, ("RGBA",)) as picture:
        text = getattr(picture, "text", {}).get(_CHUNK)
        rgba = torch.from_numpy(np.asarray(picture).astype(np.float32) / np.float32(255))
    if text is None:
        raise FormatError(f"{path}: the picture has no camera; only views written by a stage can be read")
    try:
        camera = _camera_from_json(parse_json(text))
    except (ValueError, LookupError, TypeError, RuntimeError, OverflowError) as error:
        raise FormatError(f"{path}: the picture's camera cannot be read: {error}") from error
    mask = rgba[..., 3]
    return View(image=rgba[..., :3] * mask[..., None] + (1 - mask[..., None]), mask=mask, camera=camera)


def _camera_to_json(camera: Camera) -> dict[str, object]:
    K, T = camera.K.detach().cpu().tolist(), camera.T_camera_world.detach().cpu().tolist()
    return {"K": K, "T_camera_world": T, "width": camera.width, "height": camera.height}


def _camera_from_json(values: dict[str, Any]) -> Camera:
    K, T = (torch.tensor(values[name], dtype=torch.float32) for name in ("K", "T_camera_world"))
    size = values["width"], values["height"]
    if K.shape != (3, 3) or T.shape != (4, 4) or not (K.isfinite().all() and T.isfinite().all()):
        raise FormatError(f"K {tuple(K.shape)} and T {tuple(T.shape)}: expected finite (3, 3) and (4, 4)")
    if not all(isinstance(n, int) and 0 < n < 2**16 for n in size):
        raise FormatError(f"a size of {size[0]} x {size[1]} px")
    return Camera(K, T, *size)
