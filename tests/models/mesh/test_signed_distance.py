"""Depth pictures to a closed surface: the volume against a slow twin, and what holds for every zero level."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from turnaround.models.mesh.signed_distance import NOTHING, DepthPictures, Volume, integrate
from turnaround.models.mesh.surface import components, describe
from turnaround.models.mesh.surface_nets import zero_level
from turnaround.pipeline.values.camera import camera_center, orbit_cameras, project, rays

VOXEL, TRUNCATION = 0.02, 0.05


def depth_of_balls(centres, radius, size=48, elevation=20.0):
    """Exact depth of balls from six sides."""
    cameras = orbit_cameras(
        [0.0, 60.0, 120.0, 180.0, 240.0, 300.0], size, elevation=[elevation, -elevation] * 3
    )
    ray, start = rays(cameras).double(), camera_center(cameras).double()[:, None, None]
    depth = torch.full(ray.shape[:3], NOTHING, dtype=torch.float64)
    for centre in centres:
        offset = start - torch.tensor(centre, dtype=torch.float64)
        a, b, c = (ray * ray).sum(-1), (ray * offset).sum(-1), (offset * offset).sum(-1) - radius**2
        root = (b * b - a * c).clamp(min=0).sqrt()
        depth = torch.where(b * b > a * c, torch.minimum(depth, (-b - root) / a), depth)
    K = cameras.K.numpy()
    lens = np.stack([K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2]], 1)
    return cameras, DepthPictures(
        depth.float().numpy(), lens, np.ascontiguousarray(cameras.T_camera_world[:, :3].numpy())
    )


def slow_values(cameras, depth, points, truncation):
    """The mean truncated distance of points, one view after the other."""
    total, count = np.zeros(len(points)), np.zeros(len(points))
    for k in range(len(depth)):
        pixels, away = (x.numpy() for x in project(torch.from_numpy(points).float(), cameras[k]))
        columns, rows = np.floor(pixels).astype(int).T
        within = (columns >= 0) & (rows >= 0) & (columns < depth.shape[2]) & (rows < depth.shape[1])
        seen = np.where(within, depth[k][np.where(within, rows, 0), np.where(within, columns, 0)], 0)
        distance = (seen - away) / truncation
        counts = (seen > 0) & (distance >= -1)
        total += np.where(counts, np.minimum(distance, 1), 0)
        count += counts
    return np.where(count > 0, total / np.maximum(count, 1), -1)


def test_near_surfaces_the_volume_agrees_with_its_slow_twin_and_elsewhere_in_sign():
    cameras, pictures = depth_of_balls([(0.0, 0.0, 0.0), (0.3, 0.1, 0.1)], 0.2)
    pictures.depth[0, 20:24, 20:24] = 0  # a view that knows nothing there
    volume = integrate(pictures, VOXEL, TRUNCATION)
    corners = np.stack(np.meshgrid(*(np.arange(n) for n in volume.values.shape), indexing="ij"), -1).reshape(
        -1, 3
    )
    points = volume.origin + volume.voxel * corners
    expected, found = slow_values(cameras, pictures.depth, points, TRUNCATION), volume.values.ravel()
    near = (
        np.abs(np.linalg.norm(points[:, None] - [[0, 0, 0], [0.3, 0.1, 0.1]], axis=-1).min(1) - 0.2)
        < TRUNCATION
    )
    assert near.sum() > 1000
    # a place on the edge of a pixel may be looked up in its neighbour
    assert (np.abs(found - expected)[near] > 1e-3).mean() < 0.003
    assert ((found < 0) != (expected < 0)).mean() < 0.003


def test_two_balls_come_back_as_two_closed_balls():
    _, pictures = depth_of_balls([(-0.3, 0.0, 0.0), (0.3, 0.0, 0.0)], 0.2, size=128)
    surface = zero_level(integrate(pictures, VOXEL, TRUNCATION))
    report = describe(surface)
    assert report["watertight"] and report["components"] == 2
    assert report["volume_litres"] == pytest.approx(2 * 4 / 3 * np.pi * 0.2**3 * 1000, rel=0.08)
    label = components(surface)
    centre = surface.vertices[label == label[0]].mean(0)
    assert abs(abs(centre[0]) - 0.3) < 0.01 and np.abs(centre[1:]).max() < 0.01


def test_pictures_of_nothing_have_no_surface():
    _, pictures = depth_of_balls([], 0.2)
    with pytest.raises(ValueError, match="no surface"):
        integrate(pictures, VOXEL, TRUNCATION)


def test_the_zero_level_of_a_plane_is_flat_and_exact():
    x = np.arange(12)[:, None, None] - 5.3
    values = np.broadcast_to(np.clip(x / 4, -1, 1), (12, 9, 9)).astype(np.float32)
    surface = zero_level(Volume(values, np.zeros(3), 0.1))
    middle = (np.abs(surface.vertices[:, 1:] - 0.4) < 0.25).all(1) & (surface.vertices[:, 0] > 0.1)
    assert np.allclose(surface.vertices[middle, 0], 0.53, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_even_noise_has_a_closed_surface_that_looks_outwards(seed):
    values = np.random.default_rng(seed).uniform(-1, 1, (14, 11, 12)).astype(np.float32)
    report = describe(zero_level(Volume(values, np.zeros(3), 0.1)))
    assert report["watertight"] and report["holes"] == 0
    assert report["volume_litres"] > 0
