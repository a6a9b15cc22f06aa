"""What the landmarks say of how a person stands in the photo: cut off, turned, from behind, an arm hidden.

Left and right are the person's. The person should stand upright in the picture for all but `quarter_turns`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from turnaround.models.landmarks.names import POSE_INDEX
from turnaround.models.landmarks.pose import Pose
from turnaround.models.landmarks.region import Region, upward_angle

BEYOND = 0.01  # of the person's circle: how far outside of the photo a landmark must lie
ABSENT = 0.3  # presence below which the network itself says that a landmark is outside
HIDDEN = 0.25  # visibility below which a joint inside of the photo is hidden
TURNED = 0.2  # of the trunk's length, by which the shoulders and the hips must lie the other way round
LEGS = np.radians(60)  # from the trunk's quarter turn, within which the legs are turned with it
SLANT = np.radians(30)  # from a quarter turn: nearer than this, the photo itself is taken to be turned
HEAD = ("nose", "left_eye", "right_eye")


@dataclass(frozen=True)
class Finding:
    """One thing that can be said."""

    text: str  # "the person ..."
    code: str  # a word for programs
    truncated: bool = False  # a larger part of the person is outside of the photo
    outside: bool = False  # at least a hand or a foot is


def findings(pose: Pose, height: int, width: int) -> list[Finding]:
    """Tell what is to be said of a person in a photo of height x width pixels, what is cut off first."""
    outside = _outside(pose, height, width)
    return [*_cut_off(outside), *_behind(pose), *_hidden_arms(pose, outside)]


def quarter_turns(pose: Pose) -> int:
    """Count the quarter turns counter-clockwise that bring the person upright.

    0 for who lies slantwise, and where trunk and legs disagree: who bends over does so in an upright photo.
    """
    quarters = round(pose.region.angle / (np.pi / 2))
    near = abs(pose.region.angle - quarters * np.pi / 2) <= SLANT
    return quarters % 4 if near and _legs_agree(pose, quarters * np.pi / 2) else 0


def _legs_agree(pose: Pose, angle: float) -> bool:
    """Whether both legs stand in the direction of `angle` (radians, clockwise) too, as far as they are
    seen."""
    legs = [POSE_INDEX[f"{side}_{joint}"] for joint in ("ankle", "hip") for side in ("left", "right")]
    if pose.presence[legs].min() < 0.5:
        return True
    ankles, hips = pose.xy[legs[:2]], pose.xy[legs[2:]]
    apart = [
        upward_angle(ankle, hip) - angle for ankle, hip in zip(ankles, hips, strict=True)
    ]  # of either leg
    return all(abs((turn + np.pi) % (2 * np.pi) - np.pi) <= LEGS for turn in apart)


def extent(pose: Pose) -> tuple[float, float, float, float]:
    """Find top, left, bottom, right of the whole body in the photo's pixels, also where it lies outside."""
    eyes = (pose.xy[POSE_INDEX["left_eye"]] + pose.xy[POSE_INDEX["right_eye"]]) / 2
    mouth = (pose.xy[POSE_INDEX["mouth_left"]] + pose.xy[POSE_INDEX["mouth_right"]]) / 2
    points = np.concatenate([pose.xy, (eyes + 1.8 * (eyes - mouth))[None]])
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return float(top), float(left), float(bottom), float(right)


def _outside(pose: Pose, height: int, width: int) -> dict[str, bool]:
    """Of each landmark, whether it lies outside of the photo."""
    edge = BEYOND * float(np.hypot(*(pose.circle[1] - pose.circle[0])))
    x, y = pose.xy.T
    beyond = (x < -edge) | (y < -edge) | (x > width + edge) | (y > height + edge) | (pose.presence < ABSENT)
    return {name: bool(beyond[k]) for name, k in POSE_INDEX.items()}


def _cut_off(outside: dict[str, bool]) -> list[Finding]:
    def both(part: str) -> bool:
        return outside[f"left_{part}"] and outside[f"right_{part}"]

    graver = (
        (all(outside[name] for name in HEAD), "head_outside", "the person's head is outside of the photo"),
        (
            both("hip") and both("elbow"),
            "head_only",
            "only head and shoulders of the person are in the photo",
        ),
        (both("hip"), "waist", "only the upper half of the person is in the photo, cut off at the waist"),
        (
            both("knee"),
            "above_knees",
            "only half of the person is in the photo, cut off above the knees",
        ),
        (both("ankle"), "knees", "the person is cut off at the knees"),
    )
    for holds, code, text in graver:
        if holds:
            return [Finding(text, code, truncated=True, outside=True)]
    sides = ("left", "right")
    feet = [f"{side} foot" for side in sides if outside[f"{side}_ankle"] or outside[f"{side}_foot_index"]]
    hands = [f"{side} hand" for side in sides if outside[f"{side}_wrist"]]
    if feet or hands:
        missing = f"the photo does not show the person's {_listed([*hands, *feet])}"
        return [Finding(f"{missing}: what is outside will be guessed", "parts_outside", outside=True)]
    return []


def _behind(pose: Pose) -> list[Finding]:
    """Of people with their back to the camera: the left shoulder and hip lie on the left."""
    name = POSE_INDEX
    shoulders = pose.xy[name["left_shoulder"]] - pose.xy[name["right_shoulder"]]
    hips = pose.xy[name["left_hip"]] - pose.xy[name["right_hip"]]
    middle = (pose.xy[name["left_shoulder"]] + pose.xy[name["right_shoulder"]]) / 2
    trunk = np.hypot(*(middle - (pose.xy[name["left_hip"]] + pose.xy[name["right_hip"]]) / 2))
    across = pose.region.axes[:, 0]  # the person's right to left in the picture, seen from the front
    if shoulders @ across < -TURNED * trunk and hips @ across < 0:
        return [Finding("the person is seen from behind: face and front will be guessed", "behind")]
    return []


def _hidden_arms(pose: Pose, outside: dict[str, bool]) -> list[Finding]:
    """Of arms inside of the photo whose elbow and wrist cannot be seen."""
    hidden = []
    for side in ("left", "right"):
        joints = (f"{side}_elbow", f"{side}_wrist")
        if all(pose.visibility[POSE_INDEX[name]] < HIDDEN and not outside[name] for name in joints):
            hidden.append(f"{side} arm")
    if not hidden:
        return []
    return [
        Finding(f"the person's {_listed(hidden)} is hidden: what cannot be seen will be guessed", "hidden")
    ]


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def upright_region(pose: Pose, quarters: int, height: int, width: int) -> Region:
    """Move the pose's region along as the photo (height x width pixels) is turned by `np.rot90(..,
    quarters)`."""
    x, y = pose.region.x, pose.region.y
    for _ in range(quarters % 4):
        x, y = y, width - x
        height, width = width, height
    return replace(pose.region, x=x, y=y, angle=pose.region.angle - quarters % 4 * np.pi / 2)
