"""A small person in a large picture: ever smaller squares of it, where nobody was found at its own size."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from turnaround.models.landmarks.everybody import Search, radius
from turnaround.models.landmarks.pose import Pose, Variant
from turnaround.models.landmarks.region import Picture, Region

STEP = 0.6  # of a square's side, from one to the next: who is cut by one stands in another
SMALLEST = (
    96.0  # pixels of a square; people of 30 pixels, a third of it, are the smallest that the networks see
)
MOST = 900  # squares of one size: a photo without anybody should not take a minute
GAP = 1.25  # between two sizes: nearer ones show the same people
FLAT = 3.0  # grey levels of standard deviation, below which nobody can be in a square


def find_small(picture: Picture, looked: float, variant: Variant = "heavy", *, most: int = 12) -> list[Pose]:
    """Find people who are small in a picture, the largest first; [] where there is nobody.

    It costs seconds, so it is for pictures in which `find_poses` finds nobody. Every one is confirmed by the
    mirror image: of many squares some look like a person.

    Args:
        looked: side in pixels of the smallest squares that were looked at before.
    """
    for side in sides(picture.width, picture.height, looked):
        search = Search(picture, variant, most, clear=math.inf)
        search.look_at(square for square in squares(picture, side) if not _flat(picture, square))
        if search.found:
            return sorted(search.found, key=lambda pose: -radius(pose))
    return []


def sides(width: int, height: int, looked: float) -> list[float]:
    """List the sides of the squares, each half of the one before; the last one's number is limited by
    MOST."""
    least = max(SMALLEST, math.sqrt(width * height / MOST) / STEP)
    found, side = [], looked / 2
    while side >= least:
        found.append(side)
        side /= 2
    if 2 * side >= GAP * least:
        found.append(least)
    return found


def squares(picture: Picture, side: float) -> Iterator[Region]:
    """Cover a picture with squares STEP of their side apart, row by row."""
    xs, ys = (_centres(full, side) for full in (picture.width, picture.height))
    yield from (Region(float(x), float(y), side) for y in ys for x in xs)


def _centres(full: float, side: float) -> np.ndarray:
    if full <= side:
        return np.array([full / 2])
    return np.linspace(side / 2, full - side / 2, math.ceil((full - side) / (STEP * side)) + 1)


def _flat(picture: Picture, square: Region) -> bool:
    """Whether a square is sky, wall or studio, told by few of its pixels."""
    return float(picture.cut(square, 32).std((0, 1)).max()) * 255 < FLAT
