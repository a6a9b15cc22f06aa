"""The lens model of OpenCV's calibration: radial k1, k2, k3 and tangential p1, p2 (Brown 1966)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

_STEPS = 30  # of the inversion; each takes off a factor of about ten for lenses that people use


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
        """The inverse, by fixed-point steps; NaN where there is none within `reach`."""
        wanted = np.asarray(points, np.float64)
        if self.straight:
            return wanted.copy()
        found = wanted.copy()
        limit = self.reach()
        for _ in range(_STEPS):
            x, y = found[..., 0], found[..., 1]
            r2 = x * x + y * y
            radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
            shift = np.stack(
                [
                    2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x),
                    self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y,
                ],
                -1,
            )
            found = (wanted - shift) / np.maximum(radial, 0.05)[..., None]
        off = np.linalg.norm(self.distorted(found) - wanted, axis=-1)
        lost = ~(off < 1e-6) | (np.linalg.norm(found, axis=-1) > limit)
        return np.where(lost[..., None], np.nan, found)
