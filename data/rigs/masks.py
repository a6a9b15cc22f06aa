"""A view's colours and the mask of its one person: from a file, the picture's alpha, or our networks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image

from turnaround.data.rigs.moment import RigError, RigView
from turnaround.models.location.config import LocationConfig
from turnaround.models.location.locator import Locator
from turnaround.models.matting.cutout import factor
from turnaround.models.matting.pieces import find_people, only, rivals
from turnaround.pipeline.errors import TurnaroundError
from turnaround.pipeline.formats.untrusted import MAX_PIXELS, open_picture
from turnaround.pipeline.photos.photo import decode, decode_mask

log = logging.getLogger(__name__)
OFF_MIDDLE = 0.1  # of the picture's sides: a principal point nearer to a border is another size's
SMALLEST = 1e-4  # of a picture's area: a mask of less is nobody


@dataclass(frozen=True)
class Seen:
    """One camera's picture, decoded."""

    colors: Float32[np.ndarray, "h w 3"]  # sRGB in [0, 1], straight
    mask: Float32[np.ndarray, "h w"]  # of the one person
    mask_from: str  # "file", "alpha" or "network"
    cut_out: bool  # the colours are the person's own up to the edge


def see(view: RigView) -> Seen:
    """Decode a view; RigError names the file that is damaged, of another size, empty, or shows several
    people."""
    try:
        data = view.picture.read_bytes()
        colors, alpha = decode(data, str(view.picture))
    except OSError as error:
        raise RigError(f"{view.picture}: cannot be read ({error})") from error
    except TurnaroundError as error:
        raise RigError(str(error)) from error
    _check_size(view, colors.shape[1], colors.shape[0])
    if view.mask is not None:
        return Seen(colors, _one_person(view.mask, _from_file(view, colors.shape[:2])), "file", False)
    if alpha is not None:
        return Seen(colors, _one_person(view.picture, alpha.astype(np.float32)), "alpha", True)
    return Seen(colors, _by_network(view.picture, data, colors.shape[:2]), "network", False)


def _check_size(view: RigView, width: int, height: int) -> None:
    camera = view.camera
    if camera.size is not None and camera.size != (width, height):
        raise RigError(
            f"{view.picture}: {width} x {height} px, but camera {camera.name!r} was calibrated for "
            f"{camera.size[0]} x {camera.size[1]}; give the calibrated size, or scale K with the pictures"
        )
    x, y = camera.K[0, 2] / width, camera.K[1, 2] / height
    if camera.size is None and not all(OFF_MIDDLE < place < 1 - OFF_MIDDLE for place in (x, y)):
        raise RigError(
            f"{view.picture}: {width} x {height} px, but K of camera {camera.name!r} has its principal point "
            f"at ({camera.K[0, 2]:.0f}, {camera.K[1, 2]:.0f}): of another size; scale K with the pictures, "
            f'or tell "width" and "height" of cropped ones'
        )


def _from_file(view: RigView, shape: tuple[int, ...]) -> Float32[np.ndarray, "h w"]:
    file = view.mask
    assert file is not None
    try:
        if view.mask_is == "soft":
            return decode_mask(file.read_bytes(), str(file), (shape[0], shape[1])).astype(np.float32)
        labels = np.asarray(open_picture(file, MAX_PIXELS, ("L", "P", "I", "I;16", "RGB", "1")))
    except (OSError, ValueError, TurnaroundError) as error:
        said = str(error)
        raise RigError(said if str(file) in said else f"{file}: {said}") from error
    inside = np.asarray(labels.reshape(*labels.shape[:2], -1).any(-1))
    if inside.shape == tuple(shape):
        return inside.astype(np.float32)
    if abs(inside.shape[1] * shape[0] - inside.shape[0] * shape[1]) > 2 * max(shape):
        raise RigError(
            f"{file}: the mask is {inside.shape[1]} x {inside.shape[0]} px, the picture "
            f"{shape[1]} x {shape[0]}: save both with one size"
        )
    return _resized(inside.astype(np.float32), (shape[0], shape[1]))


def _one_person(file: Path, mask: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """The mask without specks; RigError where it is empty, or shows two people of comparable size."""
    people = find_people(mask, SMALLEST)
    if not people:
        raise RigError(f"{file}: the mask is empty; paint the person white, or leave this moment out")
    others = rivals(people)
    if others:
        raise RigError(
            f"{file}: the mask shows {len(others) + 1} people of comparable size; one folder is one person: "
            f"give each their own folder with their own masks"
        )
    return only(people[0], mask, fill_holes=False)


def _by_network(file: Path, data: bytes, shape: tuple[int, ...]) -> Float32[np.ndarray, "h w"]:
    """As `prepare` finds who is in a photo."""
    try:
        found = _locator().locate(data, None)
    except TurnaroundError as error:
        raise RigError(
            f"{file}: it has no mask, and our networks find none ({error}); give masks/ beside images/"
        ) from error
    soft = np.ascontiguousarray(np.rot90(found.soft, -found.quarters)).astype(np.float32)
    return enlarged(soft, (shape[0], shape[1]))


def enlarged(soft: Float32[np.ndarray, "k l"], shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """The mask of a large picture that was reduced by whole blocks, at its size; 0 beside the blocks."""
    step = factor(shape)
    if step == 1:
        return soft
    result = np.zeros(shape, np.float32)
    whole = (soft.shape[0] * step, soft.shape[1] * step)
    result[: whole[0], : whole[1]] = _resized(soft, whole)
    return result


def _resized(mask: Float32[np.ndarray, "k l"], shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    picture = Image.fromarray(mask).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.array(picture, np.float32)


@lru_cache(maxsize=1)
def _locator() -> Locator:
    return Locator(LocationConfig(allow_truncated=True), torch.device("cpu"))
