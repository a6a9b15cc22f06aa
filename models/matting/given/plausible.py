"""How well a given mask fits the people whom the landmark networks see, and whether it is an outline at all.

Thresholds are measured (docs/landmarks.md): true masks of 43 rendered people overlap the network's own mask
by .62 or more (median .95), masks of somebody else in front of the same camera by .36 in the median.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from scipy.spatial import ConvexHull

WORK = 320  # pixels of the longer side at which masks are compared
AGREES = 0.65  # overlap from which a mask is surely of the person
INSIDE = 0.95  # of the joints: a mask that holds them and
COVERED = 0.9  # so much of the person may hold much more, as a bicycle, and one of which
PART = 0.9  # is the person may be less than the network's
WHOLE = 0.97  # of a picture: nobody fills so much of it
CONVEX = 0.96  # area over that of its convex hull: windows, discs and soft corners, but no person
ROOM = 0.75  # of a convex mask that is the person: where it is more, it is their outline
HELD = 0.5  # of a person, that is in the frame around them
FOLLOWS = 0.2  # of a person's contour: less is followed by chance
JOINT = 0.02  # of the person's height, by which a joint may lie outside
LANDMARKS = (
    0,
    11,
    12,
    13,
    14,
    15,
    16,
    23,
    24,
    25,
    26,
    27,
    28,
)  # of BlazePose: nose, and two of each large joint

Mask = Float[np.ndarray, "h w"]


@dataclass(frozen=True)
class Seen:
    """One person as the picture shows them, at the size at which masks are compared."""

    mask: Mask
    joints: Float[np.ndarray, "n 2"]  # those that are seen, pixels; perhaps none
    others: Mask  # of the other people: theirs is no fault of a mask


@dataclass(frozen=True)
class Fit:
    """How a mask fits a person; all in [0, 1]."""

    overlap: float  # soft intersection over union with the picture's own mask
    joints: float  # share of the visible joints inside; 0 without joints
    covered: float  # share of the person inside of the mask
    precise: float  # share of the mask inside of the person

    @property
    def agrees(self) -> bool:
        """Whether the mask may be the person's."""
        more = self.joints >= INSIDE and self.covered >= COVERED
        less = self.joints >= INSIDE and self.precise >= PART
        return self.overlap >= AGREES or more or less

    def __str__(self) -> str:
        return f"{100 * self.overlap:.0f} % overlap, {100 * self.joints:.0f} % of the joints inside"


NO_FIT = Fit(0.0, 0.0, 0.0, 0.0)


def small(values: Float[np.ndarray, "height width"]) -> Mask:
    """Average a mask down to the size at which masks are compared."""
    step = max(1, round(max(values.shape) / WORK))
    height, width = (max(1, side // step) * step for side in values.shape)
    blocks = values[:height, :width].reshape(height // step, step, width // step, step)
    return blocks.mean((1, 3), dtype=np.float32)


def fit_of(mask: Mask, person: Seen) -> Fit:
    """Compare a mask with one person; what belongs to others is left out."""
    mask = np.where(person.others > np.maximum(person.mask, 0.5), 0, mask)
    both, either = float(np.minimum(mask, person.mask).sum()), float(np.maximum(mask, person.mask).sum())
    if both == 0:
        return NO_FIT
    inside = 0.0
    if len(person.joints):
        rows = np.flatnonzero((person.mask > 0.5).any(1))
        reach = 1 + round(JOINT * float(np.ptp(rows))) if len(rows) else 1
        wide = np.asarray(ndimage.maximum_filter(mask, 2 * reach + 1))
        x, y = np.floor(person.joints).astype(int).T
        inside = float((wide[y.clip(0, mask.shape[0] - 1), x.clip(0, mask.shape[1] - 1)] > 0.5).mean())
    return Fit(both / either, inside, both / float(person.mask.sum()), both / max(float(mask.sum()), 1e-6))


def best_fit(mask: Mask, people: Sequence[Seen]) -> Fit:
    """The fit with whom the mask fits best; no fit at all without people."""
    return max((fit_of(mask, person) for person in people), key=lambda fit: fit.overlap, default=NO_FIT)


def is_whole(mask: Mask) -> bool:
    """Whether a mask is (nearly) the whole picture."""
    return float((mask > 0.5).mean()) > WHOLE


def is_convex(mask: Mask) -> bool:
    """Whether a mask is a window, a disc or the like."""
    solid = mask > 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if len(rows) < 4 or len(columns) < 4:
        return False
    left, right = (
        solid[rows].argmax(1),
        solid.shape[1] - solid[rows][:, ::-1].argmax(1),
    )  # of each row: the hull needs no more
    corners = [
        (x, y + below) for below in (0, 1) for ends in (left, right) for x, y in zip(ends, rows, strict=True)
    ]
    return (
        float(solid.sum()) > CONVEX * ConvexHull(np.array(corners, float)).volume
    )  # in the plane, that is the area


def is_frame(mask: Mask, people: Sequence[Seen]) -> bool:
    """Whether a mask is a frame and no outline: people have room in it, and it does not follow them."""
    if is_whole(mask):
        return True
    if not people:
        return False
    solid = (mask > 0.5).astype(np.float32)
    everyone = np.max([person.mask for person in people], axis=0)
    inside = float(np.minimum(solid, everyone).sum()) / max(float(solid.sum()), 1e-6)
    nearest = max(people, key=lambda person: fit_of(solid, person).covered)
    covered = fit_of(solid, nearest).covered
    if inside >= ROOM or covered < HELD:
        return False
    return is_convex(mask) or (covered >= COVERED and followed(mask, nearest) < FOLLOWS)


def followed(mask: Mask, person: Seen) -> float:
    """The share of the person's contour that a mask's contour runs along."""
    contour, other = _contour(person.mask), _contour(mask)
    if not contour.any() or not other.any():
        return 0.0
    reach = 1 + JOINT * float(np.ptp(np.flatnonzero(contour.any(1))))
    away = np.asarray(ndimage.distance_transform_edt(~other))
    return float((away[contour] <= reach).mean())


def _contour(mask: Mask) -> Bool[np.ndarray, "h w"]:
    """What a mask holds beside what it does not."""
    solid = mask > 0.5
    return solid & ~np.asarray(ndimage.binary_erosion(solid, border_value=1), bool)
