"""Repairs of a given mask or alpha channel, from bytes to bytes: brightness, labels, inverted masks, opaque
pictures."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy import ndimage
from turnaround.models.matting.given.plausible import Seen, small
from turnaround.pipeline.photos.photo import decode, encode_mask

NAME = "the mask beside the photo"
LIGHT = 0.9  # brightness from which a mask's person counts as white
PLATEAU = (
    0.5  # of what is brighter than half of the brightest, that has one value: the person of a label mask
)
MOST_LABELS = 64
IGNORED = (
    (255, 255, 255),
    (224, 224, 192),
)  # the border that nobody labelled, in values and in VOC's colours
THIN = 0.03  # of the picture's longer side: a border, not a part
MOSTLY = 0.5  # of a label, that must lie in the picture's own mask of the person
INVISIBLE = 0.02  # alpha below which a colour means nothing

Mask = Float[np.ndarray, "h w"]


@dataclass(frozen=True)
class Labels:
    """A picture of few colours, each of which stands for something."""

    index: Int[np.ndarray, "h w"]  # which of the colours
    colors: UInt8[np.ndarray, "n 3"]

    @property
    def ignored(self) -> int | None:
        """The label of the thin border that some data sets leave open."""
        for color in IGNORED:
            for k in np.flatnonzero((self.colors == color).all(1)):
                deepest = float(np.asarray(ndimage.distance_transform_edt(self.index == k)).max())
                if deepest < THIN * max(self.index.shape):
                    return int(k)
        return None


def values_of(data: bytes) -> Mask:
    """What a mask file says, as it says it: its alpha channel where it has one, else its brightness."""
    rgb, alpha = decode(data, NAME)
    return rgb.mean(-1) if alpha is None else alpha


def lit(data: bytes) -> tuple[bytes, float]:
    """Bring a mask whose person has one grey value to white; tell that value, 1 for masks that stay as they
    are.

    Masks of labels have 1, 15 or a colour where the person is, and would be a person of glass.
    """
    values = values_of(data)
    brightest = float(values.max())
    if not 0 < brightest < LIGHT:
        return data, 1.0
    bright = np.round(values[values > brightest / 2] * 255).astype(np.uint8)
    counts = np.bincount(bright, minlength=256)
    level = int(counts.argmax()) if counts.max() >= PLATEAU * len(bright) else int(bright.max())
    return encode_mask((values * 255 / max(level, 1)).clip(0, 1)), level / 255


def inverted(values: Mask) -> Mask:
    """Swap the person and the rest."""
    return 1 - values


def labels_in(data: bytes) -> Labels | None:
    """The labels of a mask file; None where it has more colours than labels have, or two, which are no
    question."""
    rgb, alpha = decode(data, NAME)
    if alpha is not None:
        return None
    pixels = np.round(rgb * 255).astype(np.int64)
    codes, index = np.unique(pixels @ np.array([65536, 256, 1]), return_inverse=True)
    if not 3 <= len(codes) <= MOST_LABELS:
        return None
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(np.uint8)
    return Labels(index.reshape(rgb.shape[:2]), colors)


def labelled(labels: Labels, people: list[Seen]) -> Mask:
    """White where a label lies mostly on people; a border without label goes to its nearest neighbours."""
    everyone = np.max([person.mask for person in people], axis=0)
    index, ignored = labels.index, labels.ignored
    if ignored is not None:
        nearest = ndimage.distance_transform_edt(
            index == ignored, return_distances=False, return_indices=True
        )
        index = index[tuple(np.asarray(nearest))]
    sized = np.asarray(
        Image.fromarray(everyone.astype(np.float32)).resize(index.shape[::-1], Image.Resampling.BILINEAR)
    )
    areas = np.bincount(index.ravel(), minlength=len(labels.colors))
    inside = np.bincount(index.ravel(), sized.ravel(), minlength=len(labels.colors))
    return (inside > MOSTLY * np.maximum(areas, 1))[index].astype(np.float32)


def opaque(image: bytes) -> bytes:
    """The photo without its alpha channel: white where nothing is to be seen, otherwise its own colours."""
    rgb, alpha = decode(image, "the photo")
    if alpha is not None:
        rgb = np.where(alpha[..., None] > INVISIBLE, rgb, 1)
    stream = io.BytesIO()
    Image.fromarray(np.round(rgb * 255).astype(np.uint8)).save(stream, "png", compress_level=1)
    return stream.getvalue()


def people_small(masks: list[Mask], joints: list[Float[np.ndarray, "n 2"]]) -> list[Seen]:
    """People at the size at which masks are compared, from their masks and joints in the scene's pixels."""
    reduced = [small(mask) for mask in masks]
    ratio = [part.shape[0] / mask.shape[0] for part, mask in zip(reduced, masks, strict=True)]
    result = []
    for k, mask in enumerate(reduced):
        rest = [other for j, other in enumerate(reduced) if j != k]
        others = np.max(rest, axis=0) if rest else np.zeros_like(mask)
        result.append(Seen(mask, joints[k] * ratio[k], others))
    return result
