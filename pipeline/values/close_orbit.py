"""Cameras that turn about a person, near enough that they fill the picture and far enough to hold them from
every side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.camera import framed, orbit_cameras, project, turn_world
from turnaround.pipeline.values.types import Camera

FILL = 0.92  # share of the picture that the longer side has, of all that is seen while turning
AROUND = 24  # azimuths at which that is measured
POINTS = 20_000  # that are looked at


def close_orbit(
    points: Float[Tensor, "n 3"],
    azimuths: Sequence[float],
    size: int,
    *,
    elevation: float = 0.0,
    fill: float = FILL,
) -> Camera:
    """A batch of cameras of `size` pixels at the canonical distance, all with one lens, turning about the
    points' upright axis.

    Args:
        points: of the person, world frame, metres: a mesh's vertices.
        azimuths, elevation: degrees, as in `orbit_cameras`.
        fill: share of the picture's side that is filled.
    """
    low, high = points.min(0).values, points.max(0).values
    T_axis_world = torch.eye(4)
    T_axis_world[:3, 3] = -(low + high) / 2
    T_world_axis = torch.linalg.inv(T_axis_world)
    all_around = orbit_cameras([360.0 * k / AROUND for k in range(AROUND)], size, elevation=elevation)
    seen, _ = project(points[:: -(-len(points) // POINTS)], turn_world(all_around, T_world_axis))
    near, far = seen.amin((0, 1)), seen.amax((0, 1))
    lens = framed(all_around[0], (*near.tolist(), *far.tolist()), size, fill).K
    cameras = turn_world(orbit_cameras(azimuths, size, elevation=elevation), T_world_axis)
    return Camera(lens.expand(len(azimuths), 3, 3), cameras.T_camera_world, size, size)
