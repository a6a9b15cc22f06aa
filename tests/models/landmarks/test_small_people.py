"""A small person in a large picture: which squares are looked at, and that the person in one of them is
found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from landmark_pictures import canvas, difference, found, needs_networks, paste, pixels, resized, shifted

from turnaround.models.landmarks import scales
from turnaround.models.landmarks.everybody import find_poses, smallest_square
from turnaround.models.landmarks.region import Picture
from turnaround.models.landmarks.scales import GAP, MOST, SMALLEST, STEP, find_small, sides, squares

SHAPES = [(700, 500), (4096, 3072), (3000, 500), (6000, 1000), (900, 8000), (320, 240)]


@pytest.mark.parametrize("shape", SHAPES)
def test_squares_become_smaller_down_to_what_networks_see_or_time_allows(shape):
    width, height = shape
    looked = smallest_square(width, height)
    found = [looked, *sides(width, height, looked)]
    assert all(GAP <= a / b <= 2.0001 for a, b in itertools.pairwise(found)), found
    assert found[-1] >= SMALLEST or len(found) == 1
    picture = Picture(np.zeros((height, width, 3), np.uint8))
    for side in found[1:]:
        assert len(list(squares(picture, side))) <= 2 * MOST
    assert found[-1] < 2 * GAP * max(SMALLEST, (width * height / MOST) ** 0.5 / STEP)


@pytest.mark.parametrize("shape", SHAPES)
def test_somebody_of_a_third_of_a_square_stands_whole_in_one_of_them(shape):
    width, height = shape
    picture = Picture(np.zeros((height, width, 3), np.uint8))
    rng = np.random.default_rng(0)
    for side in sides(width, height, smallest_square(width, height)):
        tall = (1 - STEP) * side
        places = np.array([(place.x, place.y) for place in squares(picture, side)])
        for _ in range(20):
            x, y = (rng.uniform(tall / 2, full - tall / 2) for full in (width, height))
            reach = np.abs(places - (x, y)).max(1) + tall / 2
            assert reach.min() <= side / 2 + 1e-6


def test_sky_and_walls_are_not_looked_at(monkeypatch):
    picture = np.full((600, 800, 3), 120, np.uint8)
    picture[400:460, 500:530] = 220
    seen = []
    monkeypatch.setattr(scales.Search, "look_at", lambda self, regions: seen.extend(regions))
    assert find_small(Picture(picture), 400.0) == []
    assert seen
    for place in seen:
        assert abs(place.x - 515) < place.side / 2 + 15 and abs(place.y - 430) < place.side / 2 + 30


@needs_networks
@pytest.mark.parametrize("height", [60, 100])
def test_who_is_small_in_a_panorama_is_found_where_they_are(height):
    scene = canvas(700, 2800)
    paste(scene, resized(pixels("person_40006"), height), 2100, 300)
    picture = Picture(scene)
    assert find_poses(picture) == []
    poses = find_small(picture, smallest_square(2800, 700))
    assert len(poses) == 1
    xy = shifted(found("person_40006").pose.xy * height / 1024, 2100, 300)
    assert difference(poses[0].xy, xy, poses[0]) < 4.0
