"""MediaPipe's single-shot detectors: anchors, boxes with points, which of several boxes are the same thing.

The conventions were verified against Google's graphs: boxes and points are the networks' numbers over the
input's size plus the anchor's centre; anchors have the size 1, strides of the same size share a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from turnaround.models.landmarks.interpreter import load_network
from turnaround.models.landmarks.region import Picture, Region, sigmoid


@dataclass(frozen=True)
class Detection:
    """One found thing, in pixels of the photo."""

    score: float
    corners: Float[np.ndarray, "4 2"]  # of the box, which turns with the region that was looked at
    points: Float[np.ndarray, "k 2"]  # the detector's own landmarks

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the upright box about the corners."""
        left, top = self.corners.min(0)
        right, bottom = self.corners.max(0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def side(self) -> float:
        """The longer side of the detector's own box, pixels."""
        edges = self.corners[[1, 3]] - self.corners[0]
        return float(np.hypot(*edges.T).max())


@dataclass(frozen=True)
class Detector:
    """One of the detectors: its network, input and grid of anchors."""

    network: str
    size: int  # pixels of the input
    strides: tuple[int, ...]
    low: float  # value of black: the input is in [low, 1]

    def find(self, picture: Picture, region: Region, least: float = 0.5) -> list[Detection]:
        """Find what is in a region, scores above `least`, best first; boxes that overlap by 0.3 are one."""
        pixels = picture.cut(region, self.size) * (1 - self.low) + self.low
        outputs = load_network(self.network)(pixels.astype(np.float32))
        boxes = next(value for value in outputs.values() if value.shape[-1] > 1)
        scores = sigmoid(next(value for value in outputs.values() if value.shape[-1] == 1)[:, 0])
        found: list[Detection] = []
        for k in sorted(np.flatnonzero(scores > least), key=lambda k: -scores[k]):
            new = self._decode(boxes[k], int(k), float(scores[k]), region)
            if all(overlap(new.box, old.box) < 0.3 for old in found):
                found.append(new)
        return found

    def _decode(self, raw: np.ndarray, anchor: int, score: float, region: Region) -> Detection:
        values = raw.reshape(-1, 2).astype(np.float64) / self.size
        centre = anchors(self.size, self.strides)[anchor]
        middle, half = values[0] + centre, values[1] / 2
        corners = middle + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        return Detection(score, region.to_picture(corners), region.to_picture(values[2:] + centre))


POSE = Detector("pose_detection", 224, (8, 16, 32, 32, 32), -1.0)
PALM = Detector("palm_detection", 192, (8, 16, 16, 16), 0.0)
FACE = Detector("face_detection", 128, (8, 16, 16, 16), -1.0)


@lru_cache(maxsize=8)
def anchors(size: int, strides: tuple[int, ...]) -> Float[np.ndarray, "n 2"]:
    """List the centres (n, 2) of the anchors in [0, 1]: two for each stride, row by row."""
    grids = []
    for stride in dict.fromkeys(strides):
        cells, count = -(-size // stride), 2 * strides.count(stride)
        at = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(at, at), -1).reshape(-1, 1, 2)
        grids.append(grid.repeat(count, 1).reshape(-1, 2))
    return np.concatenate(grids)


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Compute the intersection over union of two boxes (left, top, right, bottom)."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0.0) * max(height, 0.0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both + 1e-9)
