"""Square regions of a photo, of any size and angle, and their pixels for a network.

Picture coordinates are pixels with the first centre at 0.5; angles are radians, positive ones clockwise (rows
go downward).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32, Real, UInt8
from PIL import Image


@dataclass(frozen=True)
class Region:
    """A square: centre and side in pixels of the photo, and the angle by which its up direction is turned."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    @cached_property
    def axes(self) -> Float[np.ndarray, "2 2"]:
        """Columns: the region's right and down in the photo."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]])

    def to_picture(self, points: Float[np.ndarray, "*k 2"]) -> Float[np.ndarray, "*k 2"]:
        """Map points in [0, 1] of the region to pixels of the photo."""
        return (points - 0.5) * self.side @ self.axes.T + (self.x, self.y)

    def from_picture(self, points: Real[np.ndarray, "*k 2"]) -> Float[np.ndarray, "*k 2"]:
        """Map pixels of the photo to [0, 1] of the region; the inverse of `to_picture`."""
        return (points - (self.x, self.y)) @ self.axes / self.side + 0.5

    def grown(self, factor: float, shift: tuple[float, float] = (0.0, 0.0)) -> Region:
        """Enlarge by `factor` and move by `shift` sides of the old region along its own axes."""
        x, y = self.axes @ np.asarray(shift) * self.side + (self.x, self.y)
        return Region(float(x), float(y), self.side * factor, self.angle)


class Picture:
    """A photo with its halved copies, so that a region of any size is sampled without aliasing."""

    def __init__(self, pixels: UInt8[np.ndarray, "h w 3"]) -> None:
        self.height, self.width = pixels.shape[:2]
        self._levels = [Image.fromarray(np.ascontiguousarray(pixels))]
        self._halving = threading.Lock()

    def cut(self, region: Region, size: int) -> Float32[np.ndarray, "s s 3"]:
        """Sample the region (bilinear) to `size` x `size` pixels in [0, 1]; black beyond the photo."""
        level = max(0, int(np.floor(np.log2(max(region.side / size, 1.0)) + 1e-9)))
        source, scale = self._level(level)
        corner = region.to_picture(np.zeros(2)) * scale
        across, down = (region.axes * region.side / size * scale).T
        data = (across[0], down[0], corner[0], across[1], down[1], corner[1])
        cut = source.transform((size, size), Image.Transform.AFFINE, data, resample=Image.Resampling.BILINEAR)
        return np.asarray(cut, np.float32) / 255

    def _level(self, level: int) -> tuple[Image.Image, float]:
        """The copy halved so many times (fewer of a tiny photo), and its pixels for one of the photo."""
        with self._halving:
            while len(self._levels) <= level and min(self._levels[-1].size) > 1:
                self._levels.append(self._levels[-1].reduce(2))
            level = min(level, len(self._levels) - 1)
            return self._levels[level], 0.5**level


def upward_angle(start: Float[np.ndarray, "2"], end: Float[np.ndarray, "2"]) -> float:
    """Compute the angle (radians) of a region whose up direction is that from `start` to `end`."""
    x, y = np.asarray(end, float) - np.asarray(start, float)
    return float(np.arctan2(x, -y))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute the logistic function, without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))
