"""Regions of a photo and their pixels: laws of the maps, and a slow twin of what a network is given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landmark_pictures import noise

from turnaround.models.landmarks.region import Picture, Region, upward_angle

regions = st.builds(
    Region,
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.floats(1, 3000),
    st.floats(-7, 7),
)


@given(regions, st.lists(st.tuples(st.floats(-2, 3), st.floats(-2, 3)), min_size=1, max_size=5))
def test_region_and_picture_are_inverse(region, points):
    points = np.array(points)
    np.testing.assert_allclose(region.from_picture(region.to_picture(points)), points, atol=1e-9)
    upright = np.linalg.det(region.axes)
    assert upright == pytest.approx(1)


@given(regions, st.floats(0.1, 4), st.floats(-1, 1), st.floats(-1, 1))
def test_a_grown_region_has_its_centre_moved_along_its_own_axes(region, factor, across, down):
    grown = region.grown(factor, (across, down))
    middle = region.to_picture(np.array([0.5 + across, 0.5 + down]))
    np.testing.assert_allclose((grown.x, grown.y), middle, atol=1e-6)
    assert (grown.side, grown.angle) == (region.side * factor, region.angle)


@given(regions)
def test_up_in_a_region_is_its_angle(region):
    top, middle = region.to_picture(np.array([[0.5, 0.0], [0.5, 0.5]]))
    turn = upward_angle(middle, top) - region.angle
    assert np.cos(turn) == pytest.approx(1)


def test_angles_are_clockwise():
    assert upward_angle(np.array([0.0, 0.0]), np.array([0.0, -1.0])) == 0
    assert upward_angle(np.array([0.0, 0.0]), np.array([1.0, 0.0])) == pytest.approx(np.pi / 2)
    # in a region turned by a quarter the person's up is the photo's right
    top = Region(0, 0, 2, np.pi / 2).to_picture(np.array([0.5, 0.0]))
    np.testing.assert_allclose(top, (1, 0), atol=1e-12)


# pixels of a region


def halved(image: np.ndarray) -> np.ndarray:
    """Means of two by two pixels; of fewer at an odd border."""
    rows = [image[y : y + 2].mean(0) for y in range(0, image.shape[0], 2)]
    return np.stack([np.stack([row[x : x + 2].mean(0) for x in range(0, len(row), 2)]) for row in rows])


def slow_cut(image: np.ndarray, region: Region, size: int) -> np.ndarray:
    """The twin of Picture.cut: pixel by pixel, from means over the largest power of two below the scale."""
    image, scale = image.astype(float), 1.0
    while region.side / size * scale >= 2:
        image, scale = halved(image), scale / 2
    height, width = image.shape[:2]
    result = np.zeros((size, size, 3))
    for row in range(size):
        for column in range(size):
            x, y = region.to_picture(np.array([column + 0.5, row + 0.5]) / size) * scale
            if not (0 <= x < width and 0 <= y < height):
                continue
            left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
            for dx, share_x in ((0, 1 - (x - 0.5 - left)), (1, x - 0.5 - left)):
                for dy, share_y in ((0, 1 - (y - 0.5 - top)), (1, y - 0.5 - top)):
                    at = min(max(top + dy, 0), height - 1), min(max(left + dx, 0), width - 1)
                    result[row, column] += share_x * share_y * image[at]
    return result / 255


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.5])
@pytest.mark.parametrize("factor", [0.6, 1.0, 2.0, 2.7, 5.0])
def test_a_cut_agrees_with_a_slow_sampler(factor, angle):
    """Odd sizes, and beyond the border; the picture's copies are rounded to 8 bits, twice at most."""
    image = noise(47, 61)
    region = Region(27.3, 30.1, 16 * factor, angle)
    for place in (region, Region(55.0, 44.0, region.side, angle)):
        np.testing.assert_allclose(Picture(image).cut(place, 16), slow_cut(image, place, 16), atol=1.6 / 255)


def test_a_cut_beyond_the_photo_is_black_and_of_one_pixel_is_its_colour():
    assert not Picture(noise(20, 30)).cut(Region(-100, 10, 40), 8).any()
    one = np.full((1, 1, 3), 51, np.uint8)
    assert Picture(one).cut(Region(0.5, 0.5, 0.5), 4) == pytest.approx(0.2)
    assert Picture(one).cut(Region(0.5, 0.5, 64), 4).shape == (4, 4, 3)
