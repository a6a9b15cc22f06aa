"""Pictures for people to judge by: contact sheets, overlays, points, side-by-side frames. Images in, Images
out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.normal_image import encode_normals
from turnaround.pipeline.values.arrays import as_array
from turnaround.pipeline.values.types import Camera

RED = (0.9, 0.1, 0.1)
_BAR = 18  # pixels of a label's bar
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def contact_sheet(
    images: Sequence[Any] | Mapping[str, Any],
    labels: Sequence[str] | None = None,
    *,
    columns: int = 0,
    size: int = 0,
    tight: bool = False,
) -> Float[Tensor, "h w 3"]:
    """Pictures of any size in a grid over white, each with its label above.

    columns: 0 = about square, wide. size: longest side of a cell in pixels, 0 = the first picture's. Masks
    are shown grey. tight: cells are as wide and high as the largest picture, not square.
    """
    if isinstance(images, Mapping):
        labels, images = labels or list(images), list(images.values())
    if not images:
        raise FormatError("a contact sheet needs at least one picture")
    if labels is not None and len(labels) != len(images):
        raise FormatError(f"{len(images)} pictures, but {len(labels)} labels")
    tiles = [to_pil(image) for image in images]
    side = size or max(tiles[0].size)
    tiles = [_fitted(tile, side) for tile in tiles]
    width, height = (max(tile.size[k] for tile in tiles) if tight else side for k in (0, 1))
    columns = columns or max(1, round((len(tiles) * 1.6) ** 0.5))
    rows = -(-len(tiles) // columns)
    bar = _BAR if labels else 0
    sheet = Image.new("RGB", (min(columns, len(tiles)) * width, rows * (height + bar)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, tile in enumerate(tiles):
        x, y = index % columns * width, index // columns * (height + bar)
        sheet.paste(tile, (x + (width - tile.width) // 2, y + bar + (height - tile.height) // 2))
        if labels:
            draw.text((x + 4, y + 3), labels[index], fill=_INK, font=ImageFont.load_default(12))
    return from_pil(sheet)


def _fitted(tile: Image.Image, side: int) -> Image.Image:
    """The picture with a longest side of `side` pixels."""
    scale = side / max(tile.size)
    if scale == 1:
        return tile
    return tile.resize(
        (max(1, round(tile.width * scale)), max(1, round(tile.height * scale))), Image.Resampling.LANCZOS
    )


def trimmed(
    pictures: Float[Tensor, "c h w 3"], margin: float = 0.03
) -> Float[Tensor, "c trimmed_h trimmed_w 3"]:
    """All pictures cut to one box, which holds what is not white in any of them and `margin` of its longer
    side around it."""
    inked = (pictures < 0.99).any(-1).any(0)
    rows, columns = (inked.any(axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    if not rows:
        return pictures
    space = round(margin * max(rows[-1] - rows[0], columns[-1] - columns[0]))
    top, left = max(0, rows[0] - space), max(0, columns[0] - space)
    return pictures[:, top : rows[-1] + 1 + space, left : columns[-1] + 1 + space]


def side_by_side(
    frames: Sequence[Sequence[Any]], labels: Sequence[str] | None = None
) -> list[Float[Tensor, "_ _ 3"]]:
    """Films of equal length next to each other: frame i of the result holds frame i of each of `frames`."""
    if len({len(film) for film in frames}) != 1:
        raise FormatError(f"films of different lengths: {[len(film) for film in frames]}")
    return [contact_sheet(list(row), labels, columns=len(frames)) for row in zip(*frames, strict=True)]


def overlay(
    image: Any, mask: Any, color: tuple[float, float, float] = RED, opacity: float = 0.5
) -> Float[Tensor, "h w 3"]:
    """`image` (h, w, 3), tinted with `color` where `mask` (h, w) is set, and the mask's outline drawn in full
    colour."""
    picture, soft = as_array(image)[..., :3], as_array(mask)
    if picture.shape[:2] != soft.shape:
        raise FormatError(f"overlay: the picture is {picture.shape[:2]}, the mask {soft.shape}")
    weight = opacity * soft
    inside = soft > 0.5
    inner = inside.copy()
    inner[1:] &= inside[:-1]
    inner[:-1] &= inside[1:]
    inner[:, 1:] &= inside[:, :-1]
    inner[:, :-1] &= inside[:, 1:]
    weight = np.where(inside & ~inner, 1.0, weight)[..., None]
    return torch.from_numpy(
        (picture * (1 - weight) + np.asarray(color, np.float32) * weight).astype(np.float32)
    )


def draw_points(
    image: Any,
    points: Any,
    *,
    bones: Sequence[tuple[int, int]] = (),
    color: tuple[float, float, float] = RED,
    radius: float = 3.0,
) -> Float[Tensor, "h w 3"]:
    """`image` with `points` (n, 2), pixels with centres at +0.5, and lines between the pairs of `bones`."""
    picture = to_pil(image)
    draw = ImageDraw.Draw(picture)
    xy = [(float(x) - 0.5, float(y) - 0.5) for x, y in as_array(points)[:, :2]]
    ink = tuple(round(255 * c) for c in color)
    for a, b in bones:
        draw.line([xy[a], xy[b]], fill=ink, width=max(1, round(radius / 1.5)))
    for x, y in xy:
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=ink, outline=_PAPER)
    return from_pil(picture)


def normal_image(
    normals: Float[Tensor, "h w 3"], camera: Camera, mask: Float[Tensor, "h w"] | None = None
) -> Float[Tensor, "h w 3"]:
    """World-frame normals as an opaque picture over white; bluish where they face the camera."""
    rgba = encode_normals(normals, camera, mask)
    return rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]


def to_pil(image: Any) -> Image.Image:
    """An opaque 8-bit picture of an Image; alpha is composed over white, a mask becomes grey."""
    array = as_array(image)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, -1)
    if array.shape[-1] == 4:
        array = array[..., :3] * array[..., 3:] + 1 - array[..., 3:]
    return Image.fromarray(np.round(np.nan_to_num(array).clip(0, 1) * 255).astype(np.uint8))


def from_pil(image: Image.Image) -> Float[Tensor, "h w 3"]:
    """An Image of a picture."""
    return torch.from_numpy(np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255))


def person_cut_out(
    image: Float[Tensor, "a b 3"], mask: Float[Tensor, "a b"], height: int
) -> Float[Tensor, "h w 4"]:
    """The person of a picture over white in `height` pixels, for `paste`: colour that is missing from white,
    and mask.

    No pixels where the mask, [0, 1], shows nobody or there is no height.
    """
    rows, columns = ((mask > 0.02).any(axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    if height < 1 or not rows:
        return image.new_zeros(0, 0, 4)
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    missing = torch.cat([1 - image[box], mask[box][..., None]], -1).permute(2, 0, 1)[None]
    width = max(1, round(height * missing.shape[3] / missing.shape[2]))
    return torch.nn.functional.interpolate(missing, (height, width), mode="bilinear", antialias=True)[
        0
    ].permute(1, 2, 0)


def paste(pictures: Float[Tensor, "c h w 3"], person: Float[Tensor, "a b 4"]) -> Float[Tensor, "c h w 3"]:
    """The pictures, changed in place, with a `person_cut_out` in their upper left corner; what is around the
    person covers nothing."""
    gap = round(0.02 * pictures.shape[1])
    corner = pictures[:, gap : gap + person.shape[0], gap : gap + person.shape[1]]
    fitting = person[: corner.shape[1], : corner.shape[2]]
    corner *= 1 - fitting[..., 3:]
    corner += fitting[..., 3:] - fitting[..., :3]  # colour x mask = image - (1 - mask)
    corner.clamp_(0, 1)
    return pictures
