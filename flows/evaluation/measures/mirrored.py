"""A mirrored copy of a photo and of what lies beside it, for the mirror test."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from turnaround.data.sets.archive import save_npz
from turnaround.models.body.skeleton import MIRROR_JOINT
from turnaround.models.estimator.given.body_file import read_body
from turnaround.models.matting.cutout import limited
from turnaround.pipeline.files import replacing
from turnaround.pipeline.photos.photo import decode, decode_mask, encode_mask
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.values.camera import DISTANCE
from turnaround.pipeline.values.types import Body

_FLIP = torch.tensor([1.0, -1, -1])  # of a rotation vector, mirrored in x
_BOTH = ("left_hand_pose", "right_hand_pose"), ("leye_pose", "reye_pose")
_POSED = [MIRROR_JOINT[joint] - 1 for joint in range(1, 22)]  # which row of body_pose becomes which


def mirrored_photo(photo: Photo, folder: Path, person: int = 0) -> Photo:
    """Write the photo's mirror image into `folder`, with its mask and its given body mirrored too.

    The picture is upright, in sRGB and of the size that `prepare` reduces photos to. A picture of the back,
    which no stage up to `refine` takes, is left out.

    Args:
        person: which body of the SMPL-X file; the mirrored file holds it alone.

    Raises:
        StageError: a photo or mask that cannot be read.
        UnknownBody: an SMPL-X file that cannot be understood.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{photo.name}_mirrored"
    pixels, alpha = decode(photo.image.read_bytes(), photo.image.name)
    if photo.mask is not None:
        alpha = decode_mask(photo.mask.read_bytes(), photo.mask.name, pixels.shape[:2])
    pixels, alpha = limited(pixels, alpha)
    image, mask, body = folder / f"{name}.png", None, None
    if photo.mask is not None and alpha is not None:
        mask = folder / f"{name}.mask.png"
        mask.write_bytes(encode_mask(alpha[:, ::-1]))
    elif alpha is not None:
        pixels = np.dstack([pixels, alpha])
    _write_png(image, pixels)
    if photo.body is not None:
        body = folder / f"{name}.smplx.npz"
        _write_body(body, *read_body(photo.body.read_bytes(), person))
    return Photo(name, image, mask=mask, body=body)


def _write_png(file: Path, values: np.ndarray) -> None:
    """Mirrored pixels (h, w, 3 or 4) in [0, 1], in one rename."""
    pixels = np.round(values[:, ::-1].clip(0, 1) * 255).astype(np.uint8)
    with replacing(file) as beside:
        Image.fromarray(np.ascontiguousarray(pixels)).save(beside, "PNG", compress_level=1)


def _write_body(file: Path, body: Body, placed: bool) -> None:
    """The mirrored body, its position in camera space where it has one, as such files have it."""
    arrays = {field: value.numpy() for field, value in vars(mirrored_body(body)).items()}
    if placed:
        arrays["transl"] = arrays["transl"] + np.array([0, 0, DISTANCE], np.float32)
    save_npz(file, arrays)


def mirrored_body(body: Body) -> Body:
    """The body in the mirrored picture: left and right change places. The shape is taken as symmetric."""
    rotations = {field.name for field in dataclasses.fields(Body) if field.name.endswith(("pose", "orient"))}
    turned = {name: getattr(body, name) * _FLIP for name in rotations}
    for left, right in _BOTH:
        turned[left], turned[right] = turned[right], turned[left]
    turned["body_pose"] = turned["body_pose"][..., _POSED, :]
    return dataclasses.replace(body, **turned, transl=body.transl * torch.tensor([-1.0, 1, 1]))
