"""The lens model of OpenCV's calibration: radial k1, k2, k3 and tangential p1, p2 (Brown 1966)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

_STEPS = 12  # of the inversion
_FAR = 50.0  # on the plane: nothing is seen there
_CLOSE = 1e-7


@dataclass(frozen=True)
class Lens:
    """Maps points of the plane at depth 1 to where the lens puts them on it."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    @property
    def straight(self) -> bool:
        """Whether it changes nothing."""
        return not any((self.k1, self.k2, self.p1, self.p2, self.k3))

    def reach(self) -> float:
        """The radius on the plane up to which the mapping goes outwards; beyond it folds back and means
        nothing."""
        slopes = np.roots([7 * self.k3, 5 * self.k2, 3 * self.k1, 1.0])  # of d/dr, in r squared
        turns = slopes.real[(np.abs(slopes.imag) < 1e-9) & (slopes.real > 0)]
        return float(np.sqrt(turns.min())) if len(turns) else np.inf

    def distorted(self, points: Float[np.ndarray, "*b 2"]) -> Float64[np.ndarray, "*b 2"]:
        """Where points of the plane come to lie; meaningless beyond `reach`."""
        x, y = np.asarray(points, np.float64)[..., 0], np.asarray(points, np.float64)[..., 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        return np.stack(
            [
                x * radial + 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x),
                y * radial + self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y,
            ],
            -1,
        )

    def straightened(self, points: Float[np.ndarray, "*b 2"]) -> Float64[np.ndarray, "*b 2"]:
        """The inverse, by Newton's method; NaN where there is none within `reach`."""
        wanted = np.asarray(points, np.float64)
        if self.straight:
            return wanted.copy()
        limit = min(self.reach(), _FAR)
        found = wanted.copy()
        for _ in range(_STEPS):
            x, y = found[..., 0], found[..., 1]
            r2 = x * x + y * y
            radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
            slope = self.k1 + r2 * (2 * self.k2 + r2 * 3 * self.k3)
            xx = radial + 2 * x * x * slope + 2 * self.p1 * y + 6 * self.p2 * x
            yy = radial + 2 * y * y * slope + 6 * self.p1 * y + 2 * self.p2 * x
            xy = 2 * x * y * slope + 2 * self.p1 * x + 2 * self.p2 * y
            off = wanted - self.distorted(found)
            across = xx * yy - xy * xy
            across = np.where(np.abs(across) < 1e-9, 1e-9, across)
            found = found + np.stack(
                [
                    (yy * off[..., 0] - xy * off[..., 1]) / across,
                    (xx * off[..., 1] - xy * off[..., 0]) / across,
                ],
                -1,
            )
            length = np.linalg.norm(found, axis=-1, keepdims=True)
            found = found * np.minimum(1, limit / np.maximum(length, 1e-12))
        off = np.linalg.norm(self.distorted(found) - wanted, axis=-1)
        return np.where((off < _CLOSE)[..., None], found, np.nan)
