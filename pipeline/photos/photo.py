"""Photo bytes to pixels: orientation, colour modes, limits. Every fault is a StageError that names file,
fault and remedy."""

from __future__ import annotations

import io
import logging
import struct
import warnings

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from turnaround.pipeline.photos import heic
from turnaround.pipeline.photos.colour_profile import by_profile, opaque
from turnaround.pipeline.photos.straight_alpha import straight
from turnaround.pipeline.stage import StageError

log = logging.getLogger(__name__)

MAX_PIXELS = 80_000_000  # more is refused by the header alone, before anything is decoded
_LIMIT = f"at most {MAX_PIXELS / 1e6:.0f} megapixels"
MIN_SIDE = 64  # pixels; a smaller picture shows nobody
# what Pillow's readers raise for damaged files; it does not wrap all of them
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    MemoryError,
    TypeError,
    LookupError,
    OverflowError,
    struct.error,
)

Pixels = Float[np.ndarray, "h w 3"]
Alpha = Float[np.ndarray, "h w"]


def decode(data: bytes, name: str) -> tuple[Pixels, Alpha | None]:
    """sRGB pixels (h, w, 3) and alpha (h, w), both float32 in [0, 1]; alpha is None where the picture is
    opaque.

    Upright after EXIF orientation, converted to sRGB from an embedded ICC profile. 16-bit, grey, palette and
    CMYK pictures are accepted. The colours are straight: not multiplied by alpha. `name` is only for
    messages.
    """
    image = _opened(data, name)
    try:
        if getattr(image, "n_frames", 1) > 1:
            log.warning("%s has %d frames; the first is used", name, image.n_frames)  # type: ignore[attr-defined]
        image = _straight(ImageOps.exif_transpose(_to_8_bit(image, name)), name)
        alpha = image.convert("RGBA").getchannel("A") if _has_alpha(image) else None
        rgb = _to_srgb(image, name)
    except _DAMAGE as error:
        raise StageError(
            f"{name}: the picture is damaged or cut short ({error}); export it again as PNG or JPEG"
        ) from error
    return _floats(rgb), None if alpha is None else _checked_alpha(_floats(alpha), name)


def decode_mask(data: bytes, name: str, size: tuple[int, int] | None) -> Alpha:
    """A sidecar mask (h, w) in [0, 1]: its alpha channel where it has one, else its brightness.

    `size` is (height, width) of the upright photo; a mask of the same shape at another scale is resized to
    it. None: as it is.
    """
    rgb, alpha = decode(data, name)
    mask = alpha if alpha is not None else rgb.mean(-1)
    height, width = size = size or mask.shape
    if mask.shape != size:
        if abs(mask.shape[1] * height - mask.shape[0] * width) > max(height, width) * 2:
            raise StageError(
                f"{name}: the mask is {mask.shape[1]} x {mask.shape[0]} px, the photo {width} x {height}: "
                f"save both with one size"
            )
        picture = Image.fromarray(np.round(mask * 255).astype(np.uint8))
        mask = _floats(picture.resize((width, height), Image.Resampling.BILINEAR))
    if mask.max() < 0.5:
        raise StageError(f"{name}: the mask is black everywhere; paint the person white")
    return mask


def encode_mask(mask: Alpha) -> bytes:
    """A mask as an 8-bit grey PNG, whose bytes repeat."""
    stream = io.BytesIO()
    Image.fromarray(np.round(mask.clip(0, 1) * 255).astype(np.uint8)).save(stream, "png")
    return stream.getvalue()


def _opened(data: bytes, name: str) -> Image.Image:
    """The lazily opened picture, its size checked by the header."""
    if not data:
        raise StageError(f"{name}: the file is empty; copy the photo again")
    if heic.is_heic(data) and not heic.readable():
        raise StageError(f"{name}: this is a HEIC picture; {heic.REMEDY}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=heic.formats(data))
    except Image.DecompressionBombError as error:
        raise StageError(
            f"{name}: the picture is too large ({_LIMIT}; {error}); make it 2,000 px wide and try again"
        ) from error
    except _DAMAGE as error:
        kind = "a damaged HEIC picture" if heic.is_heic(data) else "not a picture that can be read"
        raise StageError(
            f"{name}: this is {kind} ({len(data)} bytes); save the photo as JPEG or PNG"
        ) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise StageError(
            f"{name}: {width} x {height} px is too large ({_LIMIT}); make it 2,000 px wide and try again"
        )
    if min(width, height) < MIN_SIDE:
        raise StageError(
            f"{name}: {width} x {height} px is too small (at least {MIN_SIDE} px a side); use a larger photo"
        )
    return image


def _to_8_bit(image: Image.Image, name: str) -> Image.Image:
    """16-bit grey, with alpha where a value is transparent, scaled to 8 bits (Pillow's own conversion clips
    it); floats are refused."""
    if image.mode == "F":
        raise StageError(
            f"{name}: a picture of 32-bit floats has no defined white; save it with 8 or 16 bits a channel"
        )
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.float64)
    scaled = Image.fromarray(np.clip(np.round(values / 257), 0, 255).astype(np.uint8))
    scaled.info.update(image.info)
    invisible = scaled.info.pop("transparency", None)  # the value of 16 bits that stands for "nothing here"
    if isinstance(invisible, int):
        scaled.putalpha(Image.fromarray(np.where(values == invisible, 0, 255).astype(np.uint8)))
    scaled.getexif().update(image.getexif())
    return scaled


def _has_alpha(image: Image.Image) -> bool:
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


def _to_srgb(image: Image.Image, name: str) -> Image.Image:
    """RGB in sRGB; a broken profile is reported and ignored."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            return by_profile(image, profile)
        except ValueError as error:
            log.warning("%s: the colour profile cannot be used (%s); colours are taken as sRGB", name, error)
    return opaque(image)


def _straight(image: Image.Image, name: str) -> Image.Image:
    """The picture with straight colours, also where they were multiplied by alpha and nothing in the file
    says so."""
    divided = straight(image) if image.mode in ("RGBA", "LA") else None
    if divided is None:
        return image
    log.warning(
        "%s: its colours were multiplied by its alpha, which darkens the edge; they are divided by it again",
        name,
    )
    return divided


def _checked_alpha(alpha: Alpha, name: str) -> Alpha | None:
    """None for an opaque picture; StageError for an invisible one."""
    if alpha.max() < 0.02:
        raise StageError(
            f"{name}: the alpha channel is 0 everywhere, so nothing is visible; remove it or cut the person "
            f"out again"
        )
    return None if alpha.min() > 0.98 else alpha


def _floats(image: Image.Image) -> np.ndarray:
    values = np.asarray(image).astype(np.float32)
    values /= np.float32(255)  # in place: large photos have a gigabyte of values
    return values
