"""Poses put together from single joints: an angle of the joint's natural motion, or three about its axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from turnaround.models.avatar.previews import a_pose
from turnaround.models.body.skeleton import FINGERS, JOINT_INDEX, JOINT_NAMES
from turnaround.models.body.turned import Degrees, turned
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.rig import Rig
from turnaround.pipeline.values.types import Body

Base = Literal["photo", "t", "a"]
Angles = float | tuple[float, float, float]  # degrees

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_MIDDLE: Final[dict[str, tuple[tuple[float, float, float], str]]] = {
    **{f"spine{k}": (_X, "bends forward") for k in (1, 2, 3)},
    "neck": (_X, "bends forward"),
    "head": (_X, "nods forward"),
    "jaw": (_X, "opens the mouth"),
}
_LEFT: Final[dict[str, tuple[tuple[float, float, float], str]]] = {
    "hip": ((-1.0, 0.0, 0.0), "lifts the thigh forward"),
    "knee": (_X, "bends the shin back"),
    "ankle": ((-1.0, 0.0, 0.0), "lifts the toes"),
    "foot": ((-1.0, 0.0, 0.0), "bends the toes up"),
    "collar": (_Z, "lifts the shoulder"),
    "shoulder": (_Z, "lifts the arm sideways"),
    "elbow": ((0.0, -1.0, 0.0), "bends the forearm forward"),
    "wrist": ((0.0, 0.0, -1.0), "bends the hand to the palm"),
    **{f"{finger}{k}": ((0.0, 0.0, -1.0), "bends the finger to the palm")
       for finger in FINGERS if finger != "thumb" for k in (1, 2, 3)},
    **{f"thumb{k}": ((0.0, -1.0, 0.0), "bends the thumb to the index") for k in (1, 2, 3)},
}  # fmt: skip


def _flexions() -> dict[str, tuple[tuple[float, float, float], str]]:
    sided = {f"left_{name}": value for name, value in _LEFT.items()}
    # mirrored: turns about y and z change their sign, those about x do not
    sided |= {f"right_{name}": ((x, -y, -z), said) for name, ((x, y, z), said) in _LEFT.items()}
    return {name: (_MIDDLE | sided)[name] for name in JOINT_NAMES if name in _MIDDLE | sided}


FLEXIONS: Final[Mapping[str, tuple[tuple[float, float, float], str]]] = _flexions()
"""Joint -> the axis about which one positive angle turns it in SMPL-X's axes, and what that does."""


def start(rig: Rig, base: Base) -> Body:
    """The pose to begin with, facing the camera upright: as in the photo, or arms out, or arms lowered."""
    if base == "photo":
        return rig.photo
    return rig.rest if base == "t" else a_pose(rig.rest)


def with_joints(body: Body, turns: Mapping[str, Angles]) -> Body:
    """The body with some joints turned otherwise; what is not named stays.

    Args:
        body: one person.
        turns: joint -> degrees: one number about the axis of FLEXIONS; three, a rotation about the
            axis (x, y, z) by its length (axis-angle, as SMPL-X writes them), in SMPL-X's axes: x to the
            person's left, y up, z to the front in the T pose. `pelvis` turns the whole person.

    Raises:
        CallError: a joint that does not exist, or one number for a joint without a natural axis.
    """
    found = {}
    for name, angles in turns.items():
        if name not in JOINT_INDEX:
            raise CallError(f"no joint is called {name!r}; there are {', '.join(JOINT_NAMES)}")
        found[name] = _about_axes(name, angles)
    return turned(body, found)


def _about_axes(name: str, angles: Angles) -> Degrees:
    if isinstance(angles, tuple):
        return angles
    if name not in FLEXIONS:
        raise CallError(f"{name} needs three angles, as x,y,z in degrees: it bends in no one direction")
    x, y, z = FLEXIONS[name][0]
    return angles * x, angles * y, angles * z
