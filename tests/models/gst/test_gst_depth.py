"""The depth that several masks tell is the true one, whatever the network said; one view tells none."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from turnaround.models.gst.training.depth import depth_by_masks
from turnaround.models.splat import rasterize
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Camera, Gaussians


def scene(azimuths: list[float]) -> tuple[torch.Tensor, Camera, torch.Tensor]:
    """A tall cloud of points at the origin seen by cameras, in the frame of the first; and their masks."""
    torch.manual_seed(0)
    points = torch.randn(400, 3) * torch.tensor([0.15, 0.4, 0.12])
    cameras = orbit_cameras(azimuths, 64)
    first = cameras.T_camera_world[0]
    own = dataclasses.replace(cameras, T_camera_world=cameras.T_camera_world @ torch.linalg.inv(first))
    seen = points @ first[:3, :3].T + first[:3, 3]
    count = len(points)
    gaussians = Gaussians(
        seen, torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1), torch.full((count, 3), 0.05),
        torch.full((count,), 0.9), torch.zeros(count, 3),
    )  # fmt: skip
    return seen, own, rasterize(gaussians, own, outputs=("rgb", "alpha")).alpha


@pytest.mark.parametrize("wrong", [-0.4, 0.05, 0.5])
def test_masks_of_several_views_tell_how_far_away_somebody_is(wrong):
    points, cameras, masks = scene([0.0, 70.0, 160.0, 250.0])
    ray = points.mean(0) / points.mean(0).norm()
    way = depth_by_masks(points + wrong * ray, cameras, masks)
    # a mask's middle is that of what is seen, the points' that of all of them: 2 cm here
    assert torch.dot(way, ray).item() == pytest.approx(-wrong, abs=0.03)


def test_an_empty_mask_does_not_count():
    points, cameras, masks = scene([0.0, 70.0, 250.0])
    masks[1] = 0
    ray = points.mean(0) / points.mean(0).norm()
    assert depth_by_masks(points + 0.2 * ray, cameras, masks).norm().item() == pytest.approx(0.2, abs=0.03)


def test_nothing_is_moved_beyond_half_the_distance():
    points, cameras, masks = scene([0.0, 90.0])
    way = depth_by_masks(points * 4, cameras, masks)
    assert way.norm() <= 0.5 * (points * 4).mean(0).norm() + 1e-4
