"""BlazePose GHUM: 33 landmarks of a person in 2D and in metres, their certainty, and the person's mask.

Bazarevsky et al. 2020 (arXiv 2006.10204) and the graph `pose_landmark_cpu`: a region about the mid hip and a
circle round the person, turned so that the person stands in it; a second pass takes its region from the first
one's landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from turnaround.models.landmarks.detector import Detection
from turnaround.models.landmarks.interpreter import load_network
from turnaround.models.landmarks.names import POSE_MIRROR
from turnaround.models.landmarks.region import Picture, Region, sigmoid, upward_angle

Variant = Literal["heavy", "full", "lite"]
COUNT = 33
SIZE = 256  # pixels of the network's input
MARGIN = 1.25  # side of the region over the diameter of the circle round the person
WINDOW = 3  # cells on either side of a landmark in which its heat map is averaged


@dataclass(frozen=True)
class Pose:
    """Landmarks of one person in the photo."""

    xy: Float[np.ndarray, "33 2"]  # pixels of the photo
    z: Float[np.ndarray, " 33"]  # pixels, 0 at the hips, smaller is nearer: a guess
    visibility: Float[np.ndarray, " 33"]  # probability that it is neither outside nor hidden
    presence: Float[np.ndarray, " 33"]  # probability that it is in the region
    world: Float[np.ndarray, "33 3"]  # metres from the mid hip; x right, y down, z away from the camera
    circle: Float[np.ndarray, "2 2"]  # centre and a point of the circle round the person, pixels of the photo
    flag: float  # probability that there is a person
    mask: Float32[np.ndarray, "256 256"]  # probability of the person in the region
    region: Region


def detected_region(detection: Detection) -> Region:
    """Place a region on a detected person; the detector's first two points are mid hip and circle."""
    return circle_region(detection.points[0], detection.points[1])


def circle_region(centre: Float[np.ndarray, "2"], edge: Float[np.ndarray, "2"]) -> Region:
    """Place a square about the circle round `centre` through `edge`, which is up for the person."""
    side = 2 * MARGIN * float(np.hypot(*(np.asarray(edge) - centre)))
    return Region(float(centre[0]), float(centre[1]), max(side, 1.0), upward_angle(centre, edge))


def find_pose(
    picture: Picture,
    region: Region,
    variant: Variant = "heavy",
    *,
    first: Variant | None = None,
) -> Pose:
    """Find landmarks in two passes: the second one's region comes from the landmarks of the first.

    Args:
        first: the network of the first pass, whose landmarks only place the region; default: `variant`.
    """
    start = look(picture, region, first or variant)
    return look(picture, circle_region(*start.circle), variant)


def look(picture: Picture, region: Region, variant: Variant = "heavy", *, mirrored: bool = False) -> Pose:
    """Run the network on a region once; `mirrored`: on its mirror image, the answers brought back."""
    patch = picture.cut(region, SIZE)
    patch = np.ascontiguousarray(patch[:, ::-1]) if mirrored else patch
    outputs = load_network(f"pose_landmark_{variant}")(patch)
    by_shape = {value.shape: value for value in outputs.values()}
    table = by_shape[(195,)].reshape(39, 5).astype(np.float64)
    world = by_shape[(117,)].reshape(39, 3)[:COUNT].astype(np.float64)
    mask = sigmoid(by_shape[(256, 256, 1)][..., 0])
    points = refined(table[:, :2] / SIZE, by_shape[(64, 64, 39)])
    certainty, z = sigmoid(table[:COUNT, 3:]), table[:COUNT, 2]
    if mirrored:
        swap = list(POSE_MIRROR)
        points = points * (-1, 1) + (1, 0)
        points = np.concatenate([points[:COUNT][swap], points[COUNT:]])
        certainty, z, mask = certainty[swap], z[swap], mask[:, ::-1]
        world = world[swap] * (-1, 1, 1)
    in_photo = region.to_picture(points)
    world = np.concatenate([world[:, :2] @ region.axes.T, world[:, 2:]], 1)
    return Pose(
        xy=in_photo[:COUNT],
        z=z * region.side / SIZE,
        visibility=certainty[:, 0],
        presence=certainty[:, 1],
        world=world,
        circle=in_photo[COUNT : COUNT + 2],
        flag=float(by_shape[(1,)][0]),
        mask=mask.astype(np.float32),
        region=region,
    )


def refined(
    points: Float[np.ndarray, "k 2"],
    heatmaps: Float[np.ndarray, "h h k"],
) -> Float[np.ndarray, "k 2"]:
    """Move points in [0, 1] to the centroid of their heat map (logits) nearby, where its peak is >= 0.5.

    A cell counts with its corner, as in Google's graph: by its centre, mirror images would differ by a cell.
    """
    result = points.copy()
    size = heatmaps.shape[0]
    for k, (x, y) in enumerate(np.floor(points * size).astype(int)):
        if not (0 <= x < size and 0 <= y < size):
            continue
        left, top = max(0, x - WINDOW), max(0, y - WINDOW)
        share = sigmoid(heatmaps[top : y + WINDOW + 1, left : x + WINDOW + 1, k])
        if share.max() >= 0.5:
            rows, columns = np.arange(share.shape[0]) + top, np.arange(share.shape[1]) + left
            sums = np.array([(share * columns).sum(), (share * rows[:, None]).sum()])
            result[k] = sums / share.sum() / size
    return result
