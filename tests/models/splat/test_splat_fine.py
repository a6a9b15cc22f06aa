"""Pictures of Gaussians finer than pixels."""

import torch

from turnaround.models.splat.fine import rasterize_fine, times_larger
from turnaround.models.splat.rasterize import rasterize
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import Gaussians


def _sheet(step, side=0.5):
    """A square of opaque discs `step` metres apart, facing the camera, black."""
    line = torch.arange(-side / 2 + step / 2, side / 2, step)
    y, x = torch.meshgrid(line, line, indexing="ij")
    means = torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3)
    n = len(means)
    scales = torch.tensor([0.55 * step, 0.55 * step, 0.1 * step]).expand(n, 3)
    return Gaussians(
        means, torch.tensor([1.0, 0, 0, 0]).expand(n, 4), scales, torch.full((n,), 0.98), torch.zeros(n, 3)
    )


def test_a_far_sheet_keeps_its_area():
    sheet, camera = _sheet(0.0025), canonical_camera(128)
    area = (0.5 * 0.8 * 128 / 2) ** 2  # pixels
    fine, coarse = (
        rasterize_fine(sheet, camera).alpha.sum().item(),
        rasterize(sheet, camera, outputs=("rgb", "alpha")).alpha.sum().item(),
    )
    assert abs(fine - area) < 0.05 * area  # the discs reach half a width beyond
    assert coarse > 1.04 * area and coarse > fine  # what it is for


def test_wide_gaussians_are_drawn_as_they_are():
    sheet, camera = _sheet(0.02), canonical_camera(128)
    assert times_larger(sheet, camera) == 1
    torch.testing.assert_close(
        rasterize_fine(sheet, camera).rgb, rasterize(sheet, camera, outputs=("rgb", "alpha")).rgb
    )


def test_times_grow_with_the_distance_and_end():
    sheet = _sheet(0.01)
    times = [times_larger(sheet, canonical_camera(size)) for size in (16, 64, 128, 256)]
    assert times == sorted(times, reverse=True) and times[0] == 4 and times[-1] == 1


def test_nothing_is_white():
    empty = Gaussians(
        torch.zeros(0, 3), torch.zeros(0, 4), torch.zeros(0, 3), torch.zeros(0), torch.zeros(0, 3)
    )
    assert (rasterize_fine(empty, canonical_camera(8)).rgb == 1).all()
