"""Laws of the cameras: projection and rays are inverse, orbits keep their distance, one pixel convention."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from turnaround.pipeline.values.camera import (
    camera_center,
    canonical_camera,
    orbit_cameras,
    plucker,
    project,
    rays,
    resize,
    to_camera,
    turn_world,
)

angles = st.floats(-360, 360)


def test_canonical_camera_sees_the_origin_in_the_middle_at_two_metres():
    pixel, depth = project(torch.zeros(1, 3), canonical_camera(64))
    assert torch.allclose(pixel, torch.tensor([[32.0, 32.0]]))
    assert depth.item() == pytest.approx(2.0)


@given(azimuth=angles, elevation=st.floats(-80, 80))
def test_orbits_are_rigid_look_at_the_origin_and_keep_two_metres(azimuth, elevation):
    camera = orbit_cameras([azimuth], 32, elevation=elevation)
    R = camera.T_camera_world[0, :3, :3].double()
    assert torch.allclose(R @ R.T, torch.eye(3, dtype=torch.float64), atol=1e-6)
    assert torch.linalg.det(R).item() == pytest.approx(1, abs=1e-6)
    pixel, depth = project(torch.zeros(1, 3), camera)
    assert torch.allclose(pixel, torch.full((1, 1, 2), 16.0), atol=1e-4)
    assert depth.item() == pytest.approx(2.0, abs=1e-5)
    # elevation > 0 looks from above, and y points down
    assert camera_center(camera)[0, 1].item() == pytest.approx(
        -2 * math.sin(math.radians(elevation)), abs=1e-5
    )


def test_positive_azimuth_moves_the_camera_to_world_x_and_180_is_behind():
    side, back = camera_center(orbit_cameras([90, 180], 8))
    assert torch.allclose(side, torch.tensor([2.0, 0, 0]), atol=1e-6)
    assert torch.allclose(back, torch.tensor([0, 0, 2.0]), atol=1e-6)


@given(azimuth=angles, depth=st.floats(0.5, 5))
def test_projection_undoes_rays(azimuth, depth):
    camera = orbit_cameras([azimuth], 7)
    points = camera_center(camera)[:, None, None] + depth * rays(camera)
    pixels, z = project(points.reshape(1, -1, 3), camera)
    v, u = np.meshgrid(np.arange(7) + 0.5, np.arange(7) + 0.5, indexing="ij")
    expected = torch.tensor(np.stack([u, v], -1).reshape(1, -1, 2), dtype=torch.float32)
    assert torch.allclose(pixels, expected, atol=1e-3)
    assert torch.allclose(z, torch.full_like(z, depth), rtol=1e-4)


def test_plucker_coordinates_are_orthogonal_and_independent_of_the_point_on_the_ray():
    camera = orbit_cameras([33.0], 5, elevation=12)
    moment, direction = plucker(camera)[0].split(3)
    assert torch.allclose((moment * direction).sum(0), torch.zeros(5, 5), atol=1e-6)
    further = camera_center(camera)[0][:, None, None] + 1.7 * direction
    assert torch.allclose(torch.cross(further, direction, dim=0), moment, atol=1e-5)


def test_turning_the_world_moves_cameras_and_points_together():
    points, camera = (
        torch.randn(6, 3, generator=torch.Generator().manual_seed(0)) * 0.3,
        orbit_cameras([0, 50], 16),
    )
    T = orbit_cameras([70.0], 16, elevation=20).T_camera_world[0]
    moved = points @ T[:3, :3].T + T[:3, 3]
    assert torch.allclose(project(points, camera)[0], project(moved, turn_world(camera, T))[0], atol=1e-4)


def test_resizing_scales_pixels():
    points = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)) * 0.3
    small, large = canonical_camera(32), resize(canonical_camera(32), 96)
    assert torch.allclose(project(points, small)[0] * 3, project(points, large)[0], atol=1e-4)
    assert torch.equal(to_camera(points, small), to_camera(points, large))
