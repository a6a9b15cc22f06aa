"""Copies of a view before other cameras at the same place."""

import pytest
import torch

from turnaround.pipeline.values.camera import canonical_camera, cropped, framed, orbit_cameras, project
from turnaround.pipeline.values.crop import at_camera, networks_copy, points_at, tight
from turnaround.pipeline.values.types import View

CLOSE = framed(canonical_camera(512), (200.0, 60.0, 340.0, 440.0), 256)


def _blob(camera, at=(0.05, -0.1, 0.0), radius=0.3):
    """A soft red disc about a point of the world."""
    pixel, _ = project(torch.tensor([at]), camera)
    y, x = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    distance = ((x - pixel[0, 0]) ** 2 + (y - pixel[0, 1]) ** 2).sqrt() / float(camera.K[0, 0]) * 2
    mask = ((radius - distance) / 0.05).clamp(0, 1)
    color = torch.tensor([0.8, 0.2, 0.1])
    return View(color * mask[..., None] + 1 - mask[..., None], mask, camera)


def test_points_follow_the_camera():
    points = torch.tensor([[0.1, -0.4, 0.2], [-0.2, 0.3, -0.1]])
    wide = canonical_camera(300)
    there = points_at(project(points, CLOSE)[0], CLOSE, wide)
    torch.testing.assert_close(there, project(points, wide)[0], atol=1e-3, rtol=0)


def test_box_fills_its_share():
    corners = points_at(torch.tensor([[200.0, 60.0], [340.0, 440.0]]), canonical_camera(512), CLOSE)
    assert (corners[1] - corners[0]).max().item() == pytest.approx(0.875 * 256, abs=1e-3)
    torch.testing.assert_close(corners.mean(0), torch.tensor([128.0, 128.0]), atol=1e-3, rtol=0)


def test_copy_is_what_the_camera_sees():
    wide = canonical_camera(128)
    copy, truth = networks_copy(_blob(CLOSE, radius=0.2), 128), _blob(wide, radius=0.2)
    assert (copy.image - truth.image).abs().mean() < 2e-3
    assert (copy.mask - truth.mask).abs().max() < 0.15


def test_same_camera_changes_nothing():
    view = _blob(CLOSE)
    assert at_camera(view, CLOSE) is view


def test_shrinking_keeps_the_mean_of_stripes():
    stripes = torch.zeros(256, 256)
    stripes[:, ::2] = 1
    view = View(1 - stripes[..., None].expand(-1, -1, 3), stripes, canonical_camera(256))
    small = networks_copy(view, 64)
    torch.testing.assert_close(small.mask[8:-8, 8:-8], torch.full((48, 48), 0.5), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [37, 100, 171, 200])
def test_a_flat_picture_stays_flat(size):
    view = View(torch.full((256, 256, 3), 0.25), torch.ones(256, 256), canonical_camera(256))
    inside = networks_copy(view, size).mask[2:-2, 2:-2]
    torch.testing.assert_close(inside, torch.ones_like(inside), atol=1e-5, rtol=0)


def test_beyond_the_picture_is_white():
    view = View(
        torch.zeros(64, 64, 3), torch.ones(64, 64), cropped(canonical_camera(256), (96.0, 96.0), 64.0, 64)
    )
    copy = networks_copy(view, 256)
    assert copy.mask[:90].max() == 0 and copy.image[:90].min() == 1
    torch.testing.assert_close(copy.mask.sum(), torch.tensor(64.0 * 64), rtol=1e-4, atol=0)


def test_other_place_is_refused():
    with pytest.raises(ValueError, match="one place"):
        at_camera(_blob(CLOSE), orbit_cameras([180.0], 64)[0])


def test_a_tight_view_shows_the_same_points():
    view = _blob(CLOSE, radius=0.1)
    part = tight(view, 3)
    assert part.image.shape[:2] == (part.camera.height, part.camera.width) == part.mask.shape
    assert part.mask.sum() == view.mask.sum() and part.mask.numel() < view.mask.numel()
    (x, y), (u, v) = (
        project(torch.tensor([[0.05, -0.1, 0.0]]), camera)[0][0].long().tolist()
        for camera in (view.camera, part.camera)
    )
    torch.testing.assert_close(part.image[v, u], view.image[y, x])


def test_nobody_stays_as_large():
    view = View(torch.ones(8, 8, 3), torch.zeros(8, 8), canonical_camera(8))
    assert tight(view) is view
