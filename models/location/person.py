"""One person of a photo, cut out: the close view that the other stages work on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.landmarks.record import absent
from turnaround.models.location.config import LandmarkNetworks, LocationConfig, landmark_networks
from turnaround.models.location.locator import Located, Locator
from turnaround.models.matting.close import part_under
from turnaround.models.matting.cutout import cut_square, paste_square
from turnaround.models.matting.scene import landmarks_in
from turnaround.pipeline.formats.preview import overlay
from turnaround.pipeline.photos.photo import decode_mask, encode_mask
from turnaround.pipeline.values.fit import causes_to_json
from turnaround.pipeline.values.types import View


class PersonCutOut(NamedTuple):
    """One person, cut out."""

    view: View  # over white
    mask: Float[Tensor, "s s"]  # that of the view
    overlay: Float[Tensor, "s s 3"]  # the mask over what the camera took
    landmarks: dict[str, Any]  # in pixels of the view
    doubts: dict[str, Any]  # {"causes"}: what speaks against a good result


def cut_out(
    image: bytes, mask: bytes | None, config: LocationConfig, size: int, device: torch.device
) -> PersonCutOut:
    """Find the person of a photo and cut them out.

    Args:
        image, mask: the files.
        config: who is meant, and how they are found.
        size: pixels of the square view, which the person fills.
        device: of the networks; what comes back is on the CPU.

    Raises:
        StageError: nobody is there, or no clear one.
    """
    found = Locator(config, device).locate(image, mask)
    part = part_under(found.scene, found.soft, found.close, size)
    colors, cut = cut_square(part.pixels, part.mask, part.square, size, straight=False)
    white = colors * cut[..., None] + 1 - cut[..., None]
    behind = white
    if not found.scene.cut_out:
        behind = cut_square(part.pixels, None, part.square, size, straight=True)[0]
    view, doubts = View(white, cut, found.camera(size)), {"causes": causes_to_json(found.doubts)}
    return PersonCutOut(view, cut, overlay(behind, cut), _landmarks(found, config, size), doubts)


def _landmarks(found: Located, config: LocationConfig, size: int) -> dict[str, Any]:
    """The person's, in pixels of the view."""
    if found.somebody is None:
        return absent("nobody is seen in the mask" if landmark_networks(config) else "no landmark networks")
    assert isinstance(config.landmarks, LandmarkNetworks)
    return landmarks_in(found.scene, found.somebody, found.close, size, config.landmarks.network)


def whole_mask(
    edited: bytes,
    image: bytes,
    mask: bytes | None,
    config: LocationConfig,
    size: int,
    device: torch.device,
) -> bytes:
    """Encode a mask of the whole photo, which `cut_out` cuts to an edited mask of the view.

    Args:
        edited: a mask of the view's shape; one of the photo's is given back as it is.
        image, mask, config, size, device: as of `cut_out`.

    Raises:
        StageError: it is no mask of either shape.
    """
    found = Locator(config, device).locate(image, mask)
    drawn = decode_mask(edited, "the given mask", None)
    if drawn.shape != (size, size):
        decode_mask(edited, "the given mask", found.scene.turned(-found.quarters).shape)
        return edited
    return encode_mask(np.rot90(paste_square(drawn, found.close, found.scene.shape), -found.quarters))
