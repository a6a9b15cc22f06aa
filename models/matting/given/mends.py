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
from turnaround.pipeline.formats.untrusted import PICTURES
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
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and its values that swap rows and columns
SOLID = 0.9  # alpha of what casts a shadow
AWAY, KEPT = 0.03, 2.0  # of the height, further than soft edges; and pixels of an edge that stay
LARGE = 0.05  # of what is solid: hair and veils are less, or of many colours
ONE_COLOR = 0.03  # standard deviation of a shadow's colour

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


def upright(mask: bytes, image: bytes) -> bytes | None:
    """Turn a mask as its photo's orientation tag says, where it was drawn on the pixels as they are stored.

    Certain where its shape is that of the stored picture and not that of the upright one; else None.
    """
    try:
        (stored, orientation), (size, own) = (_stored(data) for data in (image, mask))
    except (OSError, ValueError, SyntaxError):
        return None  # whoever reads it says what is wrong
    differs = abs(size[0] * stored[1] - size[1] * stored[0]) > 2 * max(stored)
    if orientation not in TURNED or own != 1 or differs or stored[0] == stored[1]:
        return None
    return encode_mask(_turned(values_of(mask), orientation))


def _stored(data: bytes) -> tuple[tuple[int, int], int]:
    """Width and height of a picture as it is stored, and its orientation tag."""
    with Image.open(io.BytesIO(data), formats=PICTURES) as picture:
        return picture.size, int(picture.getexif().get(ORIENTATION, 1))


def _turned(values: Mask, orientation: int) -> Float[np.ndarray, "height width"]:
    """What a viewer makes of stored values whose orientation tag swaps rows and columns."""
    return {5: values.T, 6: np.rot90(values, -1), 7: np.rot90(values, 2).T, 8: np.rot90(values)}[orientation]


def shadowless(pixels: Float[np.ndarray, "h w 3"], alpha: Mask) -> Mask | None:
    """An alpha channel without the soft shadow or glow that an editor put around the person.

    None where there is none for certain: one colour, far from everything solid, on a large area.
    """
    solid = alpha >= SOLID
    if not solid.any() or solid.all():
        return None
    away = np.asarray(ndimage.distance_transform_edt(~solid))
    tall = float(np.ptp(np.flatnonzero(solid.any(1)))) + 1
    far = (alpha > INVISIBLE) & ~solid & (away > max(3.0, AWAY * tall))
    if far.sum() < LARGE * solid.sum() or float(pixels[far].std(0).max()) > ONE_COLOR:
        return None
    near_color = (np.abs(pixels - np.median(pixels[far], axis=0)).max(-1) < 2 * ONE_COLOR) & ~solid
    return np.where(near_color & (away > KEPT), 0, alpha).astype(np.float32)


def opaque(image: bytes) -> bytes:
    """The photo without its alpha channel: white where nothing is to be seen, otherwise its own colours."""
    rgb, alpha = decode(image, "the photo")
    if alpha is not None:
        rgb = np.where(alpha[..., None] > INVISIBLE, rgb, 1)
    return _png(rgb)


def bare(image: bytes) -> bytes:
    """The photo without its alpha channel, with the colours that it hid."""
    return _png(decode(image, "the photo")[0])


def _png(rgb: Float[np.ndarray, "h w 3"]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.round(rgb * 255).astype(np.uint8)).save(stream, "png", compress_level=1)
    return stream.getvalue()


def people_small(masks: list[Mask], joints: list[Float[np.ndarray, "_ 2"]]) -> list[Seen]:
    """People at the size at which masks are compared, from their masks and joints in the scene's pixels."""
    reduced = [small(mask) for mask in masks]
    ratio = [part.shape[0] / mask.shape[0] for part, mask in zip(reduced, masks, strict=True)]
    result = []
    for k, mask in enumerate(reduced):
        rest = [other for j, other in enumerate(reduced) if j != k]
        others = np.max(rest, axis=0) if rest else np.zeros_like(mask)
        result.append(Seen(mask, joints[k] * ratio[k], others))
    return result
