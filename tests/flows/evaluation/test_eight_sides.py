"""Rows of pictures from eight sides: everybody as high, nothing cut off."""

from __future__ import annotations

import pytest
import torch

from turnaround.flows.evaluation.pictures import eight_sides
from turnaround.models.splat import rasterize
from turnaround.pipeline.values.camera import canonical_camera, framed
from turnaround.pipeline.values.types import Gaussians, View


@pytest.fixture(scope="module")
def plank():
    """A dark board 80 cm wide, 60 high and 10 deep, off the world's middle."""
    generator = torch.Generator().manual_seed(0)
    size, middle = torch.tensor([0.8, 0.6, 0.1]), torch.tensor([0.1, 0.2, 0.0])
    means = (torch.rand(4000, 3, generator=generator) - 0.5) * size + middle
    quats = torch.tensor([[1.0, 0, 0, 0]]).expand(4000, 4)
    scales, opacities = torch.full((4000, 3), 0.015), torch.full((4000,), 0.9)
    return Gaussians(means, quats, scales, opacities, torch.full((4000, 3), 0.1))


def extent(cell):
    rows, columns = (cell.mean(-1) < 0.6).any(1).nonzero(), (cell.mean(-1) < 0.6).any(0).nonzero()
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def test_in_every_cell_the_person_is_as_high_and_whole(plank):
    cells = eight_sides.side_cells(plank, 128)
    assert len(cells) == 8
    for cell in cells:
        top, bottom, left, right = extent(cell)
        assert cell.shape[0] == 128 and bottom - top == pytest.approx(eight_sides.FILL * 128, abs=5)
        assert top >= 1 and bottom <= 127 and left >= 1 and right <= cell.shape[1] - 1
    assert cells[0].shape[1] > 128 > cells[2].shape[1], "wide from the front, narrow from the side"


def test_the_photo_is_cut_like_the_view_from_its_camera(plank):
    """Whatever crop of the canonical camera `prepare` took."""
    full = canonical_camera(256)
    for camera in (full, framed(full, (40.0, 60.0, 230.0, 250.0), 200)):
        out = rasterize(plank, camera, outputs=("rgb", "alpha"))
        view = View(out.rgb[0], out.alpha[0], camera)
        row = eight_sides.row(view, plank, 96, azimuths=(0,))
        side = eight_sides.side_cells(plank, 96, (0,))[0]
        assert row.shape[1] - side.shape[1] == pytest.approx(side.shape[1], abs=3)
        assert extent(row[:, : -side.shape[1]])[:2] == pytest.approx(extent(side)[:2], abs=2)


def test_nobody_is_a_white_row(plank):
    nobody = Gaussians(**{name: value[:0] for name, value in vars(plank).items()})
    view = View(torch.ones(32, 32, 3), torch.zeros(32, 32), canonical_camera(32))
    assert (eight_sides.row(view, nobody, 32) == 1).all()
