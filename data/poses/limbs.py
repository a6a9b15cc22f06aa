"""Arms, legs and trunk in anatomical terms, as axis-angle rotations of SMPL-X joints.

All limbs are described for the left side, in the frame of the T-pose (x to the person's left, y up, z
forward); the right side is the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial.transform import Rotation

from turnaround.models.body.model import FREE_BODY
from turnaround.models.body.skeleton import JOINT_INDEX

Limb = dict[str, np.ndarray]  # joint name without side -> axis-angle (3,)
_STRAIGHT = 0.995  # of the arm's length: farther targets are reached for with a nearly straight arm
_WRIST_LIMIT = 1.2  # radians


@cache
def template_joints() -> np.ndarray:
    """(55,3) joints of the mean free body, pelvis at the origin."""
    with np.load(FREE_BODY) as body:
        return body["J_regressor"] @ body["v_template"]


def joint(name: str) -> np.ndarray:
    """Rest position (3,) of a joint."""
    return template_joints()[JOINT_INDEX[name]]


def mirror(limb: Limb) -> Limb:
    """The same limb on the other side."""
    return {name: rotvec * np.array([1.0, -1.0, -1.0]) for name, rotvec in limb.items()}


def arm(lower: float, forward: float, twist: float, bend: float) -> Limb:
    """An arm by angles (radians).

    lower: from horizontal down to the side (about 1.3 hangs, negative is raised); forward: swing to the
    front; twist: inward turn of the upper arm about its axis; bend: of the elbow.
    """
    shoulder = (
        Rotation.from_euler("x", -forward)
        * Rotation.from_euler("z", -lower)
        * Rotation.from_euler("x", twist)
    )
    lift = max(0.0, -lower)  # the collar bone takes part in raising an arm
    collar = Rotation.from_euler("z", 0.25 * lift)
    return {
        "collar": collar.as_rotvec(),
        "shoulder": (collar.inv() * shoulder).as_rotvec(),
        "elbow": np.array([0.0, -bend, 0.0]),
    }


@dataclass(frozen=True)
class Reach:
    """Where a left hand goes: the wrist's place, where the elbow points, and how the hand is held."""

    wrist: tuple[float, float, float]  # metres, in the mean body's frame
    elbow: tuple[float, float, float]  # direction
    fingers: tuple[float, float, float]  # direction of the hand
    palm: tuple[float, float, float]  # direction that the palm faces


def reach(goal: Reach, jitter: np.ndarray | float = 0.0) -> Limb:
    """An arm whose wrist lies at `goal.wrist + jitter`: two-bone inverse kinematics, the trunk taken as
    upright."""
    shoulder, elbow, wrist = (joint(f"left_{name}") for name in ("shoulder", "elbow", "wrist"))
    upper, lower = np.linalg.norm(elbow - shoulder), np.linalg.norm(wrist - elbow)
    to_wrist = np.asarray(goal.wrist) + jitter - shoulder
    distance = np.clip(np.linalg.norm(to_wrist), abs(upper - lower) + 0.02, _STRAIGHT * (upper + lower))
    axis = to_wrist / np.linalg.norm(to_wrist)
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    pole = np.asarray(goal.elbow) - axis * np.dot(goal.elbow, axis)
    elbow_at = along * axis + np.sqrt(max(upper**2 - along**2, 0)) * pole / np.linalg.norm(pole)
    first, second = elbow_at / upper, (distance * axis - elbow_at) / lower
    return _arm_along(first, second, goal)


def _arm_along(upper: np.ndarray, fore: np.ndarray, goal: Reach) -> Limb:
    """Rotations for the directions of both bones; the elbow is a hinge about y that bends towards +z."""
    hinge = np.cross(fore, upper)
    hinge /= np.linalg.norm(hinge)
    shoulder = Rotation.from_matrix(np.stack([upper, hinge, np.cross(upper, hinge)], 1))
    elbow = Rotation.from_euler("y", -np.arccos(np.clip(upper @ fore, -1, 1)))
    along = np.asarray(goal.fingers) / np.linalg.norm(goal.fingers)
    back = -np.asarray(goal.palm) + along * np.dot(goal.palm, along)
    back /= np.linalg.norm(back)
    hand = Rotation.from_matrix(np.stack([along, back, np.cross(along, back)], 1))
    wrist = ((shoulder * elbow).inv() * hand).as_rotvec()
    pronation = np.clip(
        wrist[0], -1.4, 1.4
    )  # about half of it belongs to the elbow, as the forearm's bones turn
    elbow = elbow * Rotation.from_euler("x", pronation / 2)
    wrist = ((shoulder * elbow).inv() * hand).as_rotvec()
    wrist *= min(1.0, _WRIST_LIMIT / max(np.linalg.norm(wrist), 1e-9))
    return {
        "collar": np.zeros(3),
        "shoulder": shoulder.as_rotvec(),
        "elbow": elbow.as_rotvec(),
        "wrist": wrist,
    }


def leg(flex: float, spread: float, turn: float, bend: float, point: float = 0.0) -> Limb:
    """A leg by angles (radians): hip flexion, abduction and outward turn; knee bend; foot pointed down."""
    hip = Rotation.from_euler("x", -flex) * Rotation.from_euler("z", spread) * Rotation.from_euler("y", turn)
    return {"hip": hip.as_rotvec(), "knee": np.array([bend, 0.0, 0.0]), "ankle": np.array([point, 0.0, 0.0])}


def trunk(forward: float, turn: float, side: float) -> Limb:
    """The bend of the whole trunk, shared among its three joints."""
    whole = np.array([forward, turn, side])
    return {"spine1": 0.4 * whole, "spine2": 0.35 * whole, "spine3": 0.25 * whole}


def head(forward: float, turn: float, side: float) -> Limb:
    """The bend of neck and head together."""
    whole = np.array([forward, turn, side])
    return {"neck": 0.45 * whole, "head": 0.55 * whole}
