"""From a person's face to the body model's, landmark to landmark: people's eyes and mouths are elsewhere."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import RBFInterpolator

UNIT = 0.01  # metres: the bending of a spline is weighed against landmarks in centimetres
STIFF = 0.02  # the weight of bending: landmarks are read within a millimetre or two
BESIDE = 0.01  # metres beyond the landmarks from where on a shift stays as it is
STEP = 0.001  # metres over which the stretch is measured
STRETCH = (0.5, 1.2)  # of a movement that is brought back: lips that touch on the body may be apart
MOST = 0.015  # metres in the median from an affine map of the body's face: six photos have 3 to 8 mm
FAR = 3.0  # medians from what most landmarks say, beyond which one lies on a hand or on hair


class Warp:
    """A smooth map in the rest pose, in which both faces look at the camera: it shifts by x and y alone."""

    def __init__(self, person: Float[np.ndarray, "k 3"], body: Float[np.ndarray, "k 3"]) -> None:
        """Make it from landmarks of both, metres."""
        good = trusted(person, body)
        person, body = person[good], body[good]
        self._low, self._high = person[:, :2].min(0) - BESIDE, person[:, :2].max(0) + BESIDE
        self._shift = RBFInterpolator(
            person[:, :2] / UNIT, (body - person) / UNIT, kernel="thin_plate_spline", smoothing=STIFF
        )

    def to_body(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Where points of the person lie about the body, metres."""
        return points + UNIT * self._shift(np.clip(points[:, :2], self._low, self._high) / UNIT)

    def back(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
        """What takes small movements of the body there to those of the person, by STRETCH at most."""
        columns = []
        for axis in (0, 1):
            step = np.zeros(3)
            step[axis] = STEP
            columns.append((self.to_body(points + step) - self.to_body(points - step))[:, :2] / (2 * STEP))
        u, size, vt = np.linalg.svd(np.stack(columns, -1))
        low, high = STRETCH
        turned = np.tile(np.eye(3), (len(points), 1, 1))
        turned[:, :2, :2] = vt.swapaxes(1, 2) / size.clip(1 / high, 1 / low)[:, None] @ u.swapaxes(1, 2)
        return turned


def trusted(person: Float[np.ndarray, "k 3"], body: Float[np.ndarray, "k 3"]) -> Bool[np.ndarray, " k"]:
    """Landmarks that agree with an affine map of most of them."""
    good = np.ones(len(body), bool)
    for _ in range(3):
        off = misses(person, body, good)
        good = off <= FAR * max(float(np.median(off)), 0.2 * UNIT)
    return good


def agree(person: Float[np.ndarray, "k 3"], body: Float[np.ndarray, "k 3"]) -> bool:
    """Whether landmarks lie as those of a face do, however it is shaped and wherever it is."""
    good = trusted(person, body)
    return float(np.median(misses(person, body, good)[good])) < MOST


def misses(
    person: Float[np.ndarray, "k 3"], body: Float[np.ndarray, "k 3"], good: Bool[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Metres from where the affine map of the good landmarks has each of them."""
    known = np.column_stack([body, np.ones(len(body))])
    map_, *_ = np.linalg.lstsq(known[good], person[good], rcond=None)
    return np.linalg.norm(known @ map_ - person, axis=1)
