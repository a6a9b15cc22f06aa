"""A photo and its person from eight sides in one row: in every cell the person is as high."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.splat.fine import rasterize_fine
from turnaround.pipeline.values.camera import cropped, orbit_cameras
from turnaround.pipeline.values.crop import at_camera
from turnaround.pipeline.values.types import Camera, Gaussians, View

AZIMUTHS = tuple(range(0, 360, 45))  # degrees
CELL = 512  # pixels of a cell's height
FILL = 0.94  # share of the height that the person has
_COARSE = 256  # pixels at which the person is looked for
Cell = Float[Tensor, "cell w 3"]


def row(view: View, gaussians: Gaussians, cell: int = CELL, azimuths: Sequence[int] = AZIMUTHS) -> Cell:
    """The photo as `prepare` sees it, then the Gaussians over white seen from each azimuth, left to right."""
    frame = _Frame.about(view.mask)
    photo = at_camera(view, frame.camera(view.camera, cell)).image
    return torch.cat([frame.cut(photo, cell), *side_cells(gaussians, cell, azimuths)], 1)


def side_cells(gaussians: Gaussians, cell: int = CELL, azimuths: Sequence[int] = AZIMUTHS) -> list[Cell]:
    """The Gaussians over white from each azimuth, in cells as wide as they need."""
    cameras = orbit_cameras(azimuths, _COARSE)
    cells: list[Cell] = []
    for number, alpha in enumerate(rasterize_fine(gaussians, cameras).alpha):
        frame = _Frame.about(alpha)
        picture = rasterize_fine(gaussians, frame.camera(cameras[number], cell)).rgb[0]
        cells.append(frame.cut(picture.clamp(0, 1), cell))
    return cells


@dataclass(frozen=True)
class _Frame:
    """Where somebody is in a picture, pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @staticmethod
    def about(mask: Float[Tensor, "h w"]) -> _Frame:
        """About what a mask holds; about the whole picture where it is empty."""
        spans: list[tuple[float, float]] = []
        for dimension in (0, 1):
            hit = (mask > 0.25).any(dimension).nonzero()
            whole = (0.0, float(mask.shape[1 - dimension]))
            spans.append((float(hit[0]), float(hit[-1]) + 1) if len(hit) else whole)
        return _Frame(spans[0][0], spans[1][0], spans[0][1], spans[1][1])

    @property
    def _height(self) -> float:
        return (self.bottom - self.top) / FILL

    @property
    def _width(self) -> float:
        return self.right - self.left + self._height * (1 - FILL)

    def camera(self, camera: Camera, cell: int) -> Camera:
        """The square that holds the cell, at the cell's scale."""
        side = max(self._height, self._width)
        corner = ((self.left + self.right - side) / 2, (self.top + self.bottom - side) / 2)
        return cropped(camera, corner, side, round(cell * side / self._height))

    def cut(self, picture: Float[Tensor, "s s 3"], cell: int) -> Cell:
        """The middle of such a square's picture."""
        size = len(picture)
        wide = min(size, round(cell * self._width / self._height))
        top, left = (size - cell) // 2, (size - wide) // 2
        return picture[top : top + cell, left : size - left]
