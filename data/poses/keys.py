"""Key poses in the making: a draft whose trunk may lean, whose feet stand somewhere and whose hands hold
things."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from turnaround.data.poses.checks import forward_kinematics
from turnaround.data.poses.draft import Draft
from turnaround.data.poses.limbs import Reach, joint, leg, reach
from turnaround.models.body.skeleton import JOINT_INDEX

_THIGH = float(np.linalg.norm(joint("left_knee") - joint("left_hip")))
_SHIN = float(np.linalg.norm(joint("left_ankle") - joint("left_knee")))
LEG = _THIGH + _SHIN  # metres from hip to ankle, straight
_MIRROR = np.array([-1.0, 1.0, 1.0])
_FOOT_LIMIT = 0.75  # radians


def two_bones(forward: float, down: float) -> tuple[float, float]:
    """Hip flexion and knee bend (radians) that put the ankle `forward` and `down` metres from the hip, knee
    to the front.

    Farther targets than the leg is long are reached for.
    """
    distance = float(np.clip(np.hypot(forward, down), abs(_THIGH - _SHIN) + 0.15, 0.995 * LEG))
    knee = np.arccos(np.clip((_THIGH**2 + _SHIN**2 - distance**2) / (2 * _THIGH * _SHIN), -1, 1))
    hip = np.arccos(np.clip((_THIGH**2 + distance**2 - _SHIN**2) / (2 * _THIGH * distance), -1, 1))
    return float(np.arctan2(forward, down) + hip), float(np.pi - knee)


class Key(Draft):
    """A draft with a root rotation, planted feet and things in the hands; metres in the pelvis' frame, y
    up."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.held = ""  # a kind of data/sets/held_things.py, empty for nothing
        self.gripping: set[str] = set()

    def lean(self, forward: float, sigma: float = 0.05, turn: float = 0.0, side: float = 0.0) -> None:
        """Tip the pelvis itself: before `plant`, whose feet stay on a level floor."""
        self.rotvecs[0] = [self.spread(forward, sigma), turn, side]

    def plant(
        self,
        side: str,
        forward: float,
        down: float,
        wide: float = 0.08,
        heel: float = 0.0,
        turn: float = 0.15,
    ) -> None:
        """A foot on the floor, `forward` and `down` metres from its hip.

        Args:
            wide: radians of abduction.
            heel: radians by which the heel is lifted.
        """
        swing, bend = two_bones(forward, down)
        point = float(np.clip(swing - bend + heel, -_FOOT_LIMIT, _FOOT_LIMIT))
        limb = leg(swing + self.rotvecs[0, 0], self.spread(wide, 0.03), self.spread(turn, 0.08), bend, point)
        limb["foot"] = np.array([-min(0.6 * heel, 0.45), 0.0, 0.0])
        self.side(limb, side)

    def place(self, name: str, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
        """Where a joint is now (plus an offset in its own frame)."""
        position, rotation = forward_kinematics(self.rotvecs)
        index = JOINT_INDEX[name]
        R_root = rotation[0]
        return R_root.T @ (position[index] + rotation[index] @ np.array(offset) - position[0])

    def hand_to(self, side: str, goal: Reach, sigma: float = 0.015) -> None:
        """A hand that goes to a place of the pelvis' frame, wherever the trunk is bent; the right hand to the
        mirrored `goal`."""
        rotvecs = self.rotvecs.copy()
        rotvecs[0] = 0
        position, rotation = forward_kinematics(rotvecs)
        index, sign = JOINT_INDEX["spine3"], (np.ones(3) if side == "left" else _MIRROR)
        turn = Rotation.from_matrix(rotation[index]).inv()
        # the mean body's pelvis is at the origin, as position[0] is
        place = turn.apply(np.array(goal.wrist) * sign - position[index]) + joint("spine3")
        directions = [
            turn.apply(np.array(direction) * sign) * sign
            for direction in (goal.elbow, goal.fingers, goal.palm)
        ]
        local = Reach(*(tuple(float(x) for x in vector) for vector in (place * sign, *directions)))  # type: ignore[arg-type]
        self.side(reach(local, self.rng.normal(0, sigma, 3)), side)

    def grip(self, *sides: str, held: str = "") -> None:
        """Close hands, round something."""
        self.gripping |= set(sides)
        self.held = held or self.held


def fist(rng: np.random.Generator, tightness: float = 1.0) -> np.ndarray:
    """(15,3) pose of a closed left hand."""
    pose = np.zeros((5, 3, 3))
    curl = tightness * rng.uniform(1.0, 1.4)
    pose[:, :, 2] = -curl * np.array([0.9, 1.1, 0.7])
    pose[4] = [[0.3, -0.5, -0.2], [0.1, -0.4, -0.1], [0.1, -0.4, 0.0]]  # the thumb over the fingers
    return pose.reshape(15, 3)
