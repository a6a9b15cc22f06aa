"""Pictures with an embedded ICC profile in sRGB, in whichever way their colours are stored: RGB, grey,
palette or CMYK."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from turnaround.pipeline.errors import CallError


def by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """The picture's colours (RGB) in sRGB, as its profile tells; alpha is left out.

    ValueError for a profile that is broken or is one of other colours than the picture has.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        header: Any = source.profile  # LittleCMS's, for which Pillow ships a type of its own making
        stored = _as_the_profile_has_them(image, header.xcolor_space.strip())
        converted = ImageCms.profileToProfile(
            stored, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise CallError(str(error)) from error
    if converted is None:
        raise CallError("it gives no picture")
    return converted


def opaque(image: Image.Image) -> Image.Image:
    """The picture without its alpha, in RGB; a palette's transparent entries keep their colour."""
    has_alpha = "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info
    return (image.convert("RGBA") if has_alpha and image.mode != "RGBA" else image).convert("RGB")


def _as_the_profile_has_them(image: Image.Image, space: str) -> Image.Image:
    """The pixels in the colours that a profile of `space` speaks of: GRAY, RGB or CMYK."""
    if space == "CMYK" or image.mode == "CMYK":
        if (space, image.mode) != ("CMYK", "CMYK"):
            raise CallError(f"a profile of {space} in a picture of {image.mode}")
        return image
    colors = opaque(image)
    if space == "RGB":
        return colors
    pixels = np.asarray(colors)
    if space != "GRAY" or np.any(pixels.max(-1) != pixels.min(-1)):
        raise CallError(f"a profile of {space} in a picture of {image.mode}")
    return colors.getchannel("R")
