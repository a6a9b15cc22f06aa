"""Square regions of a photo, of any size and angle, and their pixels for a network.

Picture coordinates are pixels with the first centre at 0.5; angles are radians, positive ones clockwise (rows downward).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32, UInt8
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
        """Points in [0, 1] of the region -> pixels of the photo."""
        return (points - 0.5) * self.side @ self.axes.T + (self.x, self.y)

    def from_picture(self, points: Float[np.ndarray, "*k 2"]) -> Float[np.ndarray, "*k 2"]:
        """Pixels of the photo -> [0, 1] of the region; the inverse of `to_picture`."""
        return (points - (self.x, self.y)) @ self.axes / self.side + 0.5

    def grown(self, factor: float, shift: tuple[float, float] = (0.0, 0.0)) -> Region:
        """The same region `factor` times as large, moved by `shift` sides of the old one along its own axes."""
        x, y = self.axes @ np.asarray(shift) * self.side + (self.x, self.y)
        return Region(float(x), float(y), self.side * factor, self.angle)


class Picture:
    """A photo with its halved copies, so that a region of any size is sampled without aliasing."""

    def __init__(self, pixels: UInt8[np.ndarray, "h w 3"]) -> None:
        self.height, self.width = pixels.shape[:2]
        self._levels = [Image.fromarray(np.ascontiguousarray(pixels))]

    def cut(self, region: Region, size: int) -> Float32[np.ndarray, "s s 3"]:
        """Pixels of the region at `size` x `size` in [0, 1]; black beyond the photo."""
        level = max(0, int(np.floor(np.log2(max(region.side / size, 1.0)) + 1e-9)))
        source = self._level(level)
        scale = np.array([source.width / self.width, source.height / self.height])
        corner = region.to_picture(np.zeros(2)) * scale
        across, down = (region.axes * region.side / size * scale[:, None]).T
        data = (across[0], down[0], corner[0], across[1], down[1], corner[1])
        cut = source.transform((size, size), Image.Transform.AFFINE, data, resample=Image.Resampling.BILINEAR)
        return np.asarray(cut, np.float32) / 255

    def _level(self, level: int) -> Image.Image:
        while len(self._levels) <= level and min(self._levels[-1].size) > 1:
            self._levels.append(self._levels[-1].reduce(2))
        return self._levels[min(level, len(self._levels) - 1)]


def upward_angle(start: Float[np.ndarray, "2"], end: Float[np.ndarray, "2"]) -> float:
    """The angle of a region whose up direction is that from `start` to `end`."""
    x, y = np.asarray(end, float) - np.asarray(start, float)
    return float(np.arctan2(x, -y))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function, without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))
