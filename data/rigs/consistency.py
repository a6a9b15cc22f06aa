"""Whether cameras and pictures belong together: the rays to the person must meet, at a person's distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from turnaround.data.rigs.moment import RigCamera, RigError
from turnaround.data.rigs.virtual import VirtualView
from turnaround.data.scans.scan import HEIGHTS

APART = 0.3  # of the person's extent: lines of sight that miss each other by more do not meet
CONFUSED = {  # what makes a person that many times too large
    "mm taken for m": 1e3,
    "cm taken for m": 1e2,
    "mm taken for cm": 1e1,
    "cm taken for mm": 1e-1,
    "m taken for cm": 1e-2,
    "m taken for mm": 1e-3,
}
PARALLAX = 2.0  # degrees between the lines of sight of two cameras at least


def person_extent(where: str, cameras: Sequence[RigCamera], views: Sequence[VirtualView]) -> float:
    """The longer side of the person's box in metres: the median of the views.

    Raises:
        RigError: the cameras are too close together, the rays do not meet before them (a wrong convention, or
            pictures of different moments), or it is no person's (wrong units).
    """
    centres = np.stack([camera.centre for camera in cameras])
    rays = np.stack([view.T_camera_world[2, :3] for view in views])
    angle = np.degrees(np.arccos(np.clip(np.abs(rays @ rays.T), 0, 1).min()))
    if angle < PARALLAX:
        raise RigError(
            f"{where}: all cameras see the person along one line, to within {angle:.1f} degrees; expected at "
            f"least {PARALLAX:.0f}: views from several sides"
        )
    point = meeting_point(centres, rays)
    depths = ((point - centres) * rays).sum(1)
    extents = np.array([view.extent for view in views]) * depths
    misses = np.linalg.norm(point - centres - depths[:, None] * rays, axis=1)
    extent, miss = float(np.median(extents)), float(np.median(misses))
    if (depths <= 0).any() or miss > APART * extent:
        behind = [camera.name for camera, depth in zip(cameras, depths, strict=True) if depth <= 0]
        told = (
            f"the person would be behind {', '.join(behind)}" if behind
            else f"the lines of sight to the person miss each other by {miss / extent:.1f} of their extent"
        )  # fmt: skip
        raise RigError(
            f'{where}: cameras and pictures do not belong together: {told}; check "convention", that R and '
            f"t map world to camera (x_camera = R x_world + t), the cameras' names, and that all pictures "
            f"are of one moment"
        )
    if not HEIGHTS[0] <= extent <= HEIGHTS[1]:
        factor = 10.0 ** round(np.log10(extent / 1.7))
        taken = next((told for told, ratio in CONFUSED.items() if abs(np.log10(factor / ratio)) < 0.1), "")
        hint = f" ({taken}?)" if taken else ""
        raise RigError(
            f"{where}: the person is {extent:.3g} m large by the cameras' positions, expected {HEIGHTS[0]} "
            f'to {HEIGHTS[1]} m; check "units"{hint}'
        )
    return extent


def meeting_point(
    centres: Float64[np.ndarray, "n 3"], rays: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, "3"]:
    """The point with the least squared distance to lines through `centres` along unit `rays`."""
    across = np.eye(3) - rays[:, :, None] * rays[:, None]
    return np.linalg.solve(across.sum(0), (across @ centres[..., None]).sum(0)[:, 0])
