"""MediaPipe Hands: 21 points of each hand in 2D and in metres, where a hand can be seen.

Zhang et al. 2020 (arXiv 2006.10214). A hand's region comes from the palm detector, run about the body's
wrist, or from the body's own landmarks; both are tried, the better one whose side agrees is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from turnaround.models.landmarks.detector import PALM, Detection
from turnaround.models.landmarks.interpreter import load_network
from turnaround.models.landmarks.names import POSE_INDEX
from turnaround.models.landmarks.pose import Pose
from turnaround.models.landmarks.region import Picture, Region, upward_angle

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
SIZE = 224  # pixels of the network's input
COUNT = 21
KNUCKLES = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)  # the points that place the region of a second pass
LEAST = 0.5  # flag of a hand that is believed
SURE = 0.97  # flag with which no other region is tried
NEAR = 1.0  # half sides of the body's region: a hand with its wrist farther from the body's is another
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
    """Find the body's hand of a side; None where it cannot be seen or looks like the other side's."""
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
    """Run the network on a region once."""
    outputs = load_network("hand_landmark")(picture.cut(region, SIZE))
    points = outputs["Identity"].reshape(COUNT, 3).astype(np.float64)
    world = outputs["Identity_3"].reshape(COUNT, 3).astype(np.float64)
    world = np.concatenate([world[:, :2] @ region.axes.T, world[:, 2:]], 1)
    right = float(outputs["Identity_2"].reshape(()))
    flag = float(outputs["Identity_1"].reshape(()))
    agreement = right if side == "right" else 1 - right
    return Hand(region.to_picture(points[:, :2] / SIZE), world, flag, agreement, region)


def body_region(pose: Pose, side: Side) -> Region:
    """Place a hand's region by the body's wrist, index and little finger."""
    wrist, little, index = (pose.xy[POSE_INDEX[f"{side}_{name}"]] for name in ("wrist", "pinky", "index"))
    centre = (2 * index + little) / 3
    reach = float(np.hypot(*(centre - wrist)))
    side_length = max(4 * reach, _least_side(pose))
    return Region(float(centre[0]), float(centre[1]), side_length, upward_angle(wrist, centre))


def _least_side(pose: Pose) -> float:
    """A hand that points at the camera is short in the picture; its region is not: 0.1 body radii."""
    return 0.1 * float(np.hypot(*(pose.circle[1] - pose.circle[0])))


def _regions(picture: Picture, place: Region) -> Iterator[Region]:
    """Where to look: where the body says, then where the palm detector finds something near it."""
    yield place
    around = Region(place.x, place.y, 1.8 * place.side)
    for detection in PALM.find(picture, around, least=0.3)[:1]:
        yield palm_region(detection)


def palm_region(detection: Detection) -> Region:
    """Place a region on a detected palm; its points 0 and 2 are the wrist and the middle knuckle."""
    middle = detection.corners.mean(0)
    angle = upward_angle(detection.points[0], detection.points[2])
    palm = Region(float(middle[0]), float(middle[1]), detection.side, angle)
    return palm.grown(2.6, (0.0, -0.5))


def hand_region(hand: Hand) -> Region:
    """Place the region of a second pass: the box of the palm's points along the hand's direction, doubled."""
    wrist, middle = hand.xy[0], ((hand.xy[5] + hand.xy[13]) / 2 + hand.xy[9]) / 2
    turned = Region(0.0, 0.0, 1.0, upward_angle(wrist, middle))
    box = hand.xy[list(KNUCKLES)] @ turned.axes
    low, high = box.min(0), box.max(0)
    x, y = turned.axes @ ((low + high) / 2)
    box_region = Region(float(x), float(y), max(float((high - low).max()), 1.0), turned.angle)
    return box_region.grown(2.0, (0.0, -0.1))


def _agrees(hand: Hand, pose: Pose, side: Side, place: Region) -> bool:
    """Whether it is a hand, of the right side, and ends at the body's wrist."""
    wrist = pose.xy[POSE_INDEX[f"{side}_wrist"]]
    near = np.hypot(*(hand.xy[0] - wrist)) <= NEAR * place.side / 2
    return hand.flag >= LEAST and hand.side >= 0.5 and bool(near)
