"""Previews: sheets hold every picture whole, overlays tint where the mask is and nowhere else, points lie
where they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turnaround.pipeline.formats.preview import (
    contact_sheet,
    draw_points,
    from_pil,
    normal_image,
    overlay,
    paste,
    person_cut_out,
    side_by_side,
    to_pil,
    trimmed,
)
from turnaround.pipeline.values.camera import orbit_cameras

RED, GREEN, BLUE, GREY = ([1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.2, 0.2, 0.2])


def plain(color: list[float], height: int = 20, width: int = 20) -> torch.Tensor:
    return torch.tensor(color).expand(height, width, 3)


def where(image: torch.Tensor, color: list[float]) -> torch.Tensor:
    """Mask of the pixels of a colour."""
    return (image - torch.tensor(color)).abs().amax(-1) < 0.01


def test_a_sheet_holds_each_picture_in_its_cell():
    sheet = contact_sheet([plain(RED), plain(GREEN), plain(BLUE)], columns=2)
    assert sheet.shape == (40, 40, 3) and sheet.dtype == torch.float32
    assert where(sheet[:20, :20], RED).all() and where(sheet[:20, 20:], GREEN).all()
    assert where(sheet[20:, :20], BLUE).all() and where(sheet[20:, 20:], [1.0, 1, 1]).all()


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=7),
    st.integers(0, 4),
    st.booleans(),
)
def test_no_picture_is_lost_or_stretched(shapes, columns, labelled):
    pictures = [plain(GREY, *shape) for shape in shapes]
    sheet = contact_sheet(pictures, [""] * len(pictures) if labelled else None, columns=columns, size=24)
    wide = min(columns or sheet.shape[1] // 24, len(shapes))
    assert sheet.shape[1] == 24 * wide
    for i, (height, width) in enumerate(shapes):
        bar = 18 if labelled else 0
        y, x = i // wide * (24 + bar) + bar, i % wide * 24
        seen = where(sheet[y : y + 24, x : x + 24], GREY)
        expected = [max(1, round(side * 24 / max(height, width))) for side in (height, width)]
        assert [int(seen.any(1).sum()), int(seen.any(0).sum())] == expected


def test_labels_are_written_above_the_pictures():
    named = contact_sheet({"front": plain(RED, 60, 60), "back": plain(GREEN, 60, 60)}, columns=2)
    assert (
        named.shape == (78, 120, 3)
        and where(named[18:, :60], RED).all()
        and where(named[18:, 60:], GREEN).all()
    )
    for half in (named[:18, :60], named[:18, 60:]):
        assert (half < 0.5).all(-1).sum() > 10, "ink"
    assert not torch.equal(named[:18, :60], named[:18, 60:])


def test_a_sheet_takes_masks_alpha_and_numbers_out_of_range():
    cut = torch.cat([plain(RED), torch.zeros(20, 20, 1)], -1)
    sheet = contact_sheet([torch.full((20, 20), 0.5), cut, plain([2.0, -1.0, float("nan")])], columns=3)
    assert (
        where(sheet[:, :20], [128 / 255] * 3).all()
        and (sheet[:, 20:40] == 1).all()
        and where(sheet[:, 40:], RED).all()
    )


def test_wrong_sheets_are_refused():
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([])
    with pytest.raises(ValueError, match="2 pictures, but 1 labels"):
        contact_sheet([plain(RED)] * 2, ["one"])
    with pytest.raises(ValueError, match="different lengths"):
        side_by_side([[plain(RED)], []])


def test_films_side_by_side():
    frames = side_by_side([[plain(RED), plain(GREEN)], [plain(BLUE), plain(GREY)]])
    assert len(frames) == 2 and all(frame.shape == (20, 40, 3) for frame in frames)
    assert where(frames[1][:, :20], GREEN).all() and where(frames[1][:, 20:], GREY).all()


def test_an_overlay_tints_inside_draws_the_outline_and_leaves_the_rest():
    mask = torch.zeros(20, 20)
    mask[5:15, 5:15] = 1
    found = overlay(plain([1.0, 1, 1]), mask, (1.0, 0.0, 0.0), opacity=0.5)
    assert torch.equal(where(found, [1.0, 1, 1]), mask == 0)
    inner = torch.zeros(20, 20, dtype=torch.bool)
    inner[6:14, 6:14] = True
    assert torch.equal(where(found, [1.0, 0.5, 0.5]), inner) and torch.equal(
        where(found, RED), (mask == 1) & ~inner
    )
    assert torch.equal(overlay(plain(BLUE), torch.zeros(20, 20)), plain(BLUE))
    with pytest.raises(ValueError, match=r"picture is \(20, 20\), the mask \(10, 10\)"):
        overlay(plain(RED), torch.ones(10, 10))


def test_a_point_at_a_pixel_s_centre_is_drawn_about_that_pixel():
    found = draw_points(
        plain([1.0, 1, 1], 41, 41), torch.tensor([[20.5, 10.5]]), color=(1.0, 0.0, 0.0), radius=3
    )
    y, x = torch.nonzero(where(found, RED), as_tuple=True)
    assert (float(y.double().mean()), float(x.double().mean())) == (10.0, 20.0)


def test_bones_join_points():
    points = np.array([[5.5, 20.5], [35.5, 20.5]])
    found = draw_points(plain([1.0, 1, 1], 41, 41), points, bones=[(0, 1)], color=(0.0, 0.0, 1.0))
    assert where(found[20], BLUE)[10:31].all() and not where(found[:15], BLUE).any()


def test_normals_that_face_the_camera_are_blue_and_nothing_is_white():
    camera = orbit_cameras([40.0], 2)[0]
    normals = torch.zeros(2, 2, 3)
    normals[0] = -camera.T_camera_world[2, :3]
    found = normal_image(normals, camera)
    torch.testing.assert_close(found[0], torch.tensor([0.5, 0.5, 1.0]).expand(2, 3), atol=1e-5, rtol=0)
    assert (found[1] == 1).all()


def test_pictures_to_pillow_and_back():
    values = torch.arange(256).float().view(16, 16, 1).expand(16, 16, 3) / 255
    assert torch.equal(from_pil(to_pil(values)), values)


def test_tight_cells_are_as_large_as_the_largest_picture():
    tall, low = plain(RED, 40, 10), plain(GREEN, 20, 10)
    sheet = contact_sheet([tall, low], columns=2, tight=True)
    assert sheet.shape == (40, 40, 3), "the second, scaled to 40 px of height, is 20 wide"
    assert contact_sheet([tall, tall], columns=2, tight=True).shape == (40, 20, 3)


def test_pictures_are_trimmed_to_one_box_that_holds_them_all():
    pictures = torch.ones(2, 50, 60, 3)
    pictures[0, 10:30, 20:25] = 0.2
    pictures[1, 15:40, 22:30] = 0.2
    assert torch.equal(trimmed(pictures, margin=0), pictures[:, 10:40, 20:30])
    assert trimmed(pictures, margin=0.1).shape == (2, 36, 16, 3)
    white = torch.ones(1, 5, 5, 3)
    assert torch.equal(trimmed(white), white)


def test_an_inset_covers_with_the_person_alone():
    frames = torch.full((2, 100, 100, 3), 0.5)
    image, mask = torch.ones(20, 20, 3), torch.zeros(20, 20)
    image[5:15, 5:10], mask[5:15, 5:10] = torch.tensor([1.0, 0, 0]), 1
    found = paste(frames.clone(), person_cut_out(image, mask, 20))
    assert where(found[0, 2:22, 2:12], RED).all() and (
        where(found[1], [0.5, 0.5, 0.5]).sum() == 100 * 100 - 200
    )
    assert torch.equal(paste(frames.clone(), person_cut_out(image, mask, 0)), frames)
    assert torch.equal(paste(frames.clone(), person_cut_out(image, torch.zeros(20, 20), 20)), frames)
    assert (paste(frames.clone(), person_cut_out(image, mask, 300)) == frames).sum() < frames.numel(), (
        "too large: cut off"
    )
