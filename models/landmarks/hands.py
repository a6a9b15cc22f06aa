"""MediaPipe Hands: 21 points of each hand in 2D and in metres, where a hand can be seen.

Zhang et al. 2020 (arXiv 2006.10214). A hand's region comes from the palm detector, run about the body's wrist, or from
the body's own landmarks; both are tried, and the better one whose side agrees with the body's is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from models.landmarks.detector import PALM, Detection
from models.landmarks.interpreter import load_network
from models.landmarks.names import POSE_INDEX
from models.landmarks.pose import Pose
from models.landmarks.region import Picture, Region, upward_angle

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
SIZE = 224  # pixels of the network's input
COUNT = 21
KNUCKLES = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)  # the points that place the region of a second pass
LEAST = 0.5  # flag of a hand that is believed
SURE = 0.97  # flag with which no other region is tried
NEAR = 1.0  # of the hand's reach from the body's wrist: a hand whose wrist is farther away is another one
SMALLEST = 12.0  # pixels of the photo: side of a region in which fingers cannot be told


@dataclass(frozen=True)
class Hand:
    """Landmarks of one hand in the photo."""

    xy: Float[np.ndarray, "21 2"]  # pixels of the photo
    world: Float[np.ndarray, "21 3"]  # metres; x right, y down, z away from the camera
    flag: float  # probability of a hand
    side: float  # probability that it is of the side that was asked for
    region: Region


def find_hand(picture: Picture, pose: Pose, side: Side) -> Hand | None:
    """The body's hand of a side; None where it cannot be seen or is of the other side."""
    place = body_region(pose, side)
    if place.side < SMALLEST:
        return None
    best: Hand | None = None
    for region in _regions(picture, place):
        first = look(picture, region, side)
        second = look(picture, hand_region(first), side)
        hand = second if second.flag >= first.flag - 0.02 else first
        if _agrees(hand, pose, side, place) and (best is None or hand.flag > best.flag):
            best = hand
        if best is not None and best.flag >= SURE:
            break
    return best


def look(picture: Picture, region: Region, side: Side) -> Hand:
    """One pass over a region."""
    outputs = load_network("hand_landmark")(picture.cut(region, SIZE))
    points = outputs["Identity"].reshape(COUNT, 3).astype(np.float64)
    world = outputs["Identity_3"].reshape(COUNT, 3).astype(np.float64)
    world = np.concatenate([world[:, :2] @ region.axes.T, world[:, 2:]], 1)
    right = float(outputs["Identity_2"].reshape(()))
    flag = float(outputs["Identity_1"].reshape(()))
    return Hand(region.to_picture(points[:, :2] / SIZE), world, flag, right if side == "right" else 1 - right, region)


def body_region(pose: Pose, side: Side) -> Region:
    """A hand's region by the body's wrist, index and little finger."""
    wrist, little, index = (pose.xy[POSE_INDEX[f"{side}_{name}"]] for name in ("wrist", "pinky", "index"))
    centre = (2 * index + little) / 3
    reach = float(np.hypot(*(centre - wrist)))
    return Region(float(centre[0]), float(centre[1]), max(4 * reach, _least_side(pose)), upward_angle(wrist, centre))


def _least_side(pose: Pose) -> float:
    """A hand that points at the camera is short in the picture; its region is not: a tenth of the body's circle."""
    return 0.1 * float(np.hypot(*(pose.circle[1] - pose.circle[0])))


def _regions(picture: Picture, place: Region) -> Iterator[Region]:
    """Where to look: where the body says, then where the palm detector finds something near it."""
    yield place
    around = Region(place.x, place.y, 1.8 * place.side)
    for detection in PALM.find(picture, around, least=0.3)[:1]:
        yield palm_region(detection)


def palm_region(detection: Detection) -> Region:
    """A detected palm's region: its first point is the wrist, its third the knuckle of the middle finger."""
    middle = detection.corners.mean(0)
    palm = Region(float(middle[0]), float(middle[1]), detection.side, upward_angle(detection.points[0], detection.points[2]))
    return palm.grown(2.6, (0.0, -0.5))


def hand_region(hand: Hand) -> Region:
    """The region of a second pass: the box of the palm's points along the hand's direction, doubled."""
    wrist, middle = hand.xy[0], ((hand.xy[5] + hand.xy[13]) / 2 + hand.xy[9]) / 2
    turned = Region(0.0, 0.0, 1.0, upward_angle(wrist, middle))
    box = hand.xy[list(KNUCKLES)] @ turned.axes
    low, high = box.min(0), box.max(0)
    x, y = turned.axes @ ((low + high) / 2)
    return Region(float(x), float(y), max(float((high - low).max()), 1.0), turned.angle).grown(2.0, (0.0, -0.1))


def _agrees(hand: Hand, pose: Pose, side: Side, place: Region) -> bool:
    wrist = pose.xy[POSE_INDEX[f"{side}_wrist"]]
    near = np.hypot(*(hand.xy[0] - wrist)) <= NEAR * place.side / 2
    return hand.flag >= LEAST and hand.side >= 0.5 and bool(near)
