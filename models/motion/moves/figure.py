"""A figure that moves, put together in anatomical terms: trunk, head and arms by angles, legs by where the
feet go.

Everything is in the body's own axes (x to its left, y up, z forward), the ground at y = 0; limbs are
described for the left side, the right one is the mirror image. An angle is a number or one a frame, radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import FINGERS, JOINT_INDEX
from turnaround.models.motion.kinematics import OPENCV, positions, to_local, to_world, with_matrices
from turnaround.models.motion.legs import bones, reach
from turnaround.models.motion.soles import SIDES, leg_length, rest_joints, soles, standing_height, to_opencv
from turnaround.models.motion.turns import about_x, about_y, about_z
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.types import Body

Angle = float | Float[Tensor, " f"]
_KNEES_FOLLOW = 0.6  # share of the feet's heading in where the knees point; the rest is the pelvis'
_CURL = {"index": 0.22, "middle": 0.27, "pinky": 0.34, "ring": 0.31}  # a knuckle of a hand at rest


@dataclass(frozen=True)
class Stature:
    """Measures of the mean body that feet and pelvis are planned by, metres."""

    rest: Float[Tensor, "55 3"]
    height: float  # of the pelvis above the soles
    leg: float
    ankle: Float[Tensor, "3"]  # of the left foot, standing: x from the middle, y above the ground, z
    heel: Float[Tensor, "3"]  # the points that a foot rolls over, from the ankle: of the sole,
    ball: Float[Tensor, "3"]  # and where the toes bend


@cache
def stature() -> Stature:
    """The measures of the mean free body."""
    model, betas = BodyModel.shared(), torch.zeros(10)
    rest, (left, _) = rest_joints(model, betas), soles(model, betas)
    height, ankle, foot = standing_height(model, betas), rest[left.ankle], rest[left.foot]
    heel = torch.stack([ankle[0], torch.tensor(left.depth), left.points[:, 2].min() + 0.01])
    standing = ankle - rest[0] + torch.tensor([0.0, height, 0.0])
    return Stature(rest, height, leg_length(rest), standing, heel - ankle, foot - ankle)


@dataclass(frozen=True)
class Foot:
    """Where one foot goes."""

    ankle: Float[Tensor, "f 3"]
    heading: Float[Tensor, " f"]  # turn to the left about y
    pitch: Float[Tensor, " f"]  # heel above the toes
    toes: Float[Tensor, " f"]  # bend of the toes upwards


class Figure:
    """The mean body over `frames` frames; it stands upright in a T pose until its parts are set."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.local = torch.eye(3, dtype=torch.float64).repeat(frames, 55, 1, 1)
        self.place = torch.tensor([0.0, stature().height, 0.0], dtype=torch.float64).repeat(frames, 1)
        self.feet: dict[str, Foot] = {}

    def _angle(self, value: Angle) -> Float[Tensor, " f"]:
        return torch.as_tensor(value, dtype=torch.float64).expand(self.frames)

    def _set(self, joint: str, rotation: Float[Tensor, "f 3 3"], side: str = "") -> None:
        if side == "right":
            mirror = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
            rotation = rotation * mirror[:, None] * mirror
        self.local[:, JOINT_INDEX[f"{side}_{joint}" if side else joint]] = rotation

    def pelvis(
        self, *, left: Angle = 0.0, up: Angle = 0.0, forward: Angle = 0.0, heading: Angle = 0.0,
        tilt: Angle = 0.0, lean: Angle = 0.0, yaw: Angle = 0.0,
    ) -> None:  # fmt: skip
        """Move the pelvis from where it stands (metres) and turn it: heading and yaw to the left, tilt
        forwards, lean to the right."""
        moved = torch.stack([self._angle(value) for value in (left, up, forward)], -1)
        self.place = self.place + moved
        turn = about_y(self._angle(heading) + self._angle(yaw))
        self._set("pelvis", turn @ about_x(self._angle(tilt)) @ about_z(self._angle(lean)))

    def trunk(self, *, forward: Angle = 0.0, turn: Angle = 0.0, side: Angle = 0.0) -> None:
        """Bend the whole trunk, shared among its three joints; turn to the left, side to the right."""
        whole = [self._angle(value) for value in (forward, turn, side)]
        for joint, share in (("spine1", 0.4), ("spine2", 0.35), ("spine3", 0.25)):
            x, y, z = (share * value for value in whole)
            self._set(joint, about_y(y) @ about_x(x) @ about_z(z))

    def head(self, *, forward: Angle = 0.0, turn: Angle = 0.0, side: Angle = 0.0) -> None:
        """Bend neck and head together."""
        whole = [self._angle(value) for value in (forward, turn, side)]
        for joint, share in (("neck", 0.45), ("head", 0.55)):
            x, y, z = (share * value for value in whole)
            self._set(joint, about_y(y) @ about_x(x) @ about_z(z))

    def arm(
        self, side: str, *, lower: Angle = 1.2, forward: Angle = 0.0, twist: Angle = 0.05, bend: Angle = 0.25,
        shrug: Angle = 0.0, pronate: Angle = 0.0, hand: Angle = 0.0, flap: Angle = 0.0,
    ) -> None:  # fmt: skip
        """An arm: lowered from the horizontal, swung forward, the upper arm twisted inwards, the elbow bent;
        the shoulder shrugged, the forearm turned, the hand moved towards the thumb, the palm bent inwards."""
        lower, forward = self._angle(lower), self._angle(forward)
        collar = about_z(0.25 * (-lower).clamp(min=0) + self._angle(shrug))
        shoulder = about_x(-forward) @ about_z(-lower) @ about_x(self._angle(twist))
        self._set("collar", collar, side)
        self._set("shoulder", collar.mT @ shoulder, side)
        half = about_x(self._angle(pronate) / 2)
        self._set("elbow", about_y(-self._angle(bend)) @ half, side)
        self._set("wrist", half @ about_y(-self._angle(hand)) @ about_z(-self._angle(flap)), side)

    def hands(self, curl: Angle = 1.0) -> None:
        """Fingers of both hands, 0 straight, 1 at rest, 4 a fist."""
        curl = self._angle(curl)
        for side in SIDES:
            for finger in FINGERS:
                for knuckle in (1, 2, 3):
                    if finger == "thumb":
                        turn = about_y(-0.12 * curl) @ about_x(0.05 * curl)
                    else:
                        turn = about_z(-_CURL[finger] * curl * (0.9, 1.1, 0.8)[knuckle - 1])
                    self._set(f"{finger}{knuckle}", turn, side)

    def standing(self, side: str, *, apart: float = 0.0, out: float = 0.1) -> Foot:
        """A foot that stands still, flat, `apart` metres farther out and turned outwards by `out`."""
        sign = 1.0 if side == "left" else -1.0
        ankle = stature().ankle * torch.tensor([sign, 1.0, 1.0]) + torch.tensor([sign * apart, 0.0, 0.0])
        zero = torch.zeros(self.frames, dtype=torch.float64)
        return Foot(ankle.expand(self.frames, 3), zero + sign * out, zero, zero)

    def stand(self, *, apart: float = 0.0, out: float = 0.1) -> None:
        """Both feet flat on the ground, where they stay."""
        self.feet = {side: self.standing(side, apart=apart, out=out) for side in SIDES}

    def motion(self, fps: float) -> Motion:
        """The movement, facing the camera, with legs that reach the feet."""
        for side, foot in self.feet.items():
            self._leg(side, foot)
        body = Body.neutral(self.frames)
        world = OPENCV.double()
        local = self.local.clone()
        local[:, 0] = world @ local[:, 0]  # of the body's axes against the world's
        transl = to_opencv(self.place) - stature().rest[0]
        moved = Body(**{**vars(body), "transl": transl.float()})
        return Motion(with_matrices(moved, local), fps)

    def _leg(self, side: str, foot: Foot) -> None:
        rest, names = stature().rest, ("hip", "knee", "ankle", "foot")
        hip, knee, ankle, toes = (JOINT_INDEX[f"{side}_{name}"] for name in names)
        world = to_world(self.local)
        ahead = torch.atan2(world[:, 0, 0, 2], world[:, 0, 2, 2])
        turn = about_y(ahead + _KNEES_FOLLOW * _nearest_turn(foot.heading - ahead))
        where = positions(world, rest, self.place)[:, hip]
        world[:, hip], world[:, knee] = reach(where, turn, turn, bones(rest, side), foot.ankle)
        world[:, ankle] = about_y(foot.heading) @ about_x(foot.pitch)
        world[:, toes] = world[:, ankle] @ about_x(-foot.toes)
        self.local[:, [hip, knee, ankle, toes]] = to_local(world)[:, [hip, knee, ankle, toes]]


def _nearest_turn(angle: Float[Tensor, " f"]) -> Float[Tensor, " f"]:
    """The same angle in (-pi, pi]."""
    return torch.atan2(torch.sin(angle), torch.cos(angle))


def rolled(
    foot_on: Float[Tensor, "f 3"], heading: Float[Tensor, " f"], pitch: Float[Tensor, " f"], side: str
) -> Float[Tensor, "f 3"]:
    """Where the ankle lies of a foot whose flat ankle would lie at `foot_on`, and that is rolled: over the
    heel where the toes are up, over the ball where the heel is."""
    sign = torch.tensor([1.0 if side == "left" else -1.0, 1.0, 1.0], dtype=torch.float64)
    flat, turned = about_y(heading), about_y(heading) @ about_x(pitch)
    pivot = torch.where((pitch > 0)[:, None], stature().ball * sign, stature().heel * sign)[..., None]
    return foot_on + (flat @ pivot - turned @ pivot)[..., 0]
