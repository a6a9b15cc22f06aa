"""Plausible body poses by kind: standing in its many forms, walking, sitting, reaching, dancing,
squatting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from turnaround.data.body.hands import mirror_pose, sample_curls
from turnaround.data.poses.checks import possible
from turnaround.data.poses.draft import Draft
from turnaround.data.poses.limbs import Reach, arm, reach
from turnaround.pipeline.errors import CallError

ATTEMPTS = 200
_HIP = Reach((0.225, 0.11, 0.0), (1.0, 0.0, -0.7), (-0.02, -0.6, 0.8), (-1.0, 0.1, 0.0))
_POCKET = Reach((0.225, 0.0, 0.08), (0.6, 0.2, -1.0), (-0.1, -1.0, 0.1), (-1.0, 0.0, 0.0))
_FRONT = Reach((0.075, 0.03, 0.185), (1.0, 0.0, -0.6), (-0.5, -0.85, 0.05), (-0.3, 0.0, -1.0))
_CROSSED = (
    Reach((-0.05, 0.235, 0.245), (1.0, -0.7, 0.3), (-1.0, 0.1, 0.1), (0.0, 0.0, -1.0)),
    Reach((-0.03, 0.15, 0.175), (1.0, -0.7, 0.2), (-1.0, -0.15, 0.05), (0.0, 0.0, -1.0)),
)
_BEHIND = Reach((0.12, 0.05, -0.15), (1.0, 0.0, -0.6), (-0.7, -0.7, 0.0), (0.0, 0.0, -1.0))
_CHIN = Reach((0.07, 0.39, 0.21), (0.5, -1.0, 0.2), (-0.2, 1.0, -0.15), (-0.5, 0.0, -1.0))
_PHONE = Reach((0.175, 0.50, 0.10), (0.8, -1.0, 0.1), (-0.15, 1.0, -0.1), (-1.0, 0.0, 0.1))
_CHEST = Reach((0.02, 0.26, 0.20), (1.0, -0.7, 0.0), (-1.0, 0.35, 0.0), (0.0, 0.0, -1.0))
_LAP = Reach((0.14, 0.07, 0.25), (1.0, 0.1, -0.6), (-0.05, -0.1, 1.0), (0.0, -1.0, -0.1))


def _relaxed(d: Draft) -> None:
    d.stand()
    for side in ("left", "right"):
        d.hanging(side)


def _a_pose(d: Draft) -> None:
    d.stand(0.12)
    lower = d.between(0.6, 1.05)
    for side in ("left", "right"):
        d.hanging(side, lower, 0.05, 0.15)


def _t_pose(d: Draft) -> None:
    d.stand(0.1)
    lower = d.between(-0.15, 0.35)
    for side in ("left", "right"):
        d.hanging(side, lower, 0.05, 0.1)


def _contrapposto(d: Draft) -> None:
    _relaxed(d)
    free, firm = d.sides()
    sign = 1.0 if free == "left" else -1.0
    d.leg(free, d.between(0.1, 0.4), d.between(0.05, 0.25), d.between(0.1, 0.4), d.between(0.2, 0.6), 0.03)
    d.leg(firm, -0.03, -0.02, 0.1, 0.0, 0.03)
    d.torso(0.06, 0.02, 0.08 * sign, 0.14 * sign)
    if d.rng.random() < 0.4:
        d.hand_at(d.sides()[0], _HIP)


def _hands_on_hips(d: Draft) -> None:
    d.stand(0.1)
    for side in ("left", "right"):
        d.hand_at(side, _HIP)


def _one_hand_on_hip(d: Draft) -> None:
    _relaxed(d)
    d.hand_at(d.sides()[0], _HIP)


def _pockets(d: Draft) -> None:
    d.stand()
    for side in ("left", "right"):
        d.hand_at(side, _POCKET, 0.012)


def _crossed(d: Draft) -> None:
    d.stand()
    for side, goal in zip(d.sides(), _CROSSED, strict=True):
        d.hand_at(side, goal, 0.008)


def _in_front(d: Draft) -> None:
    d.stand()
    height = np.array([0, d.between(-0.06, 0.14), d.between(0, 0.02)])
    for side, over in zip(
        d.sides(), ([0, 0.02, 0.04], [0, -0.02, 0.0]), strict=True
    ):  # one hand over the other
        d.side(reach(_FRONT, height + over + d.rng.normal(0, 0.006, 3)), side)


def _behind(d: Draft) -> None:
    d.stand()
    for side in ("left", "right"):
        d.hand_at(side, _BEHIND)


def _to_face(d: Draft) -> None:
    _relaxed(d)
    side, other = d.sides()
    d.hand_at(side, (_CHIN, _PHONE, _CHEST)[d.rng.integers(3)], 0.015)
    if d.rng.random() < 0.3:
        d.hand_at(other, _HIP)


def _raised(d: Draft) -> None:
    _relaxed(d)
    side, other = d.sides()
    d.side(arm(-d.between(0.3, 1.25), d.between(-0.1, 0.4), d.spread(-0.2, 0.3), d.between(0, 0.6)), side)
    if d.rng.random() < 0.4:
        d.side(
            arm(-d.between(0.3, 1.25), d.between(-0.1, 0.4), d.spread(-0.2, 0.3), d.between(0, 0.6)), other
        )


def _wave(d: Draft) -> None:
    _relaxed(d)
    side, _ = d.sides()
    d.side(arm(d.between(-0.2, 0.5), d.between(0, 0.3), -d.between(1.2, 1.6), d.between(1.1, 1.9)), side)


def _walk(d: Draft) -> None:
    front, back = d.sides()
    stride = d.between(0.2, 0.6)
    d.leg(front, stride, 0.02, 0.05, d.between(0.05, 0.35), 0.04)
    d.leg(back, -0.6 * stride, 0.02, 0.05, d.between(0.1, 0.8), 0.04, 0.15)
    sign = 1.0 if front == "left" else -1.0
    d.torso(0.05, 0.06, -0.15 * sign * stride, 0.0)
    for side, swing in ((front, -0.8 * stride), (back, 0.9 * stride)):
        d.side(arm(d.spread(1.22, 0.06), swing, d.spread(0.1, 0.1), d.between(0.15, 0.7)), side)


def _sit(d: Draft) -> None:
    flex, bend = d.between(1.2, 1.55), d.between(1.2, 1.7)
    for side in ("left", "right"):
        d.leg(side, flex, d.between(0.05, 0.25), 0.05, bend, 0.05)
    d.torso(0.08, d.between(-0.05, 0.3))
    for side in ("left", "right"):
        if d.rng.random() < 0.7:
            d.hand_at(side, _LAP)
        else:
            d.hanging(side, 1.1)


def _reach_out(d: Draft) -> None:
    _relaxed(d)
    side, other = d.sides()
    for which in (side, other) if d.rng.random() < 0.4 else (side,):
        d.side(arm(d.spread(1.1, 0.3), d.between(0.7, 1.9), d.spread(0, 0.3), d.between(0.05, 0.9)), which)
    d.torso(0.12, 0.1)


def _dance(d: Draft) -> None:
    d.torso(0.2)
    for side in ("left", "right"):
        d.leg(side, d.spread(0.15, 0.25), d.spread(0.2, 0.12), d.spread(0.15, 0.15), d.between(0, 0.8), 0.02)
        d.side(
            arm(d.between(-0.9, 1.2), d.between(-0.2, 1.1), d.spread(-0.2, 0.5), d.between(0.1, 1.9)), side
        )


def _leg_up(d: Draft) -> None:
    up, firm = d.sides()
    d.leg(up, d.between(0.6, 1.5), d.spread(0.1, 0.1), 0.1, d.between(0.4, 1.7), 0.02, 0.2)
    d.leg(firm, 0.0, 0.02, 0.1, 0.05, 0.03)
    for side in ("left", "right"):
        d.side(arm(d.between(0.2, 1.1), d.spread(0.1, 0.2), d.spread(0, 0.2), d.between(0.1, 0.9)), side)


def _squat(d: Draft) -> None:
    depth = d.between(0.5, 1.0)
    for side in ("left", "right"):
        d.leg(side, 1.8 * depth, d.between(0.15, 0.35), 0.25, 2.0 * depth, 0.03, -0.45 * depth)
    d.torso(0.06, 0.45 * depth)
    forward = d.between(0.9, 1.7)
    for side in ("left", "right"):
        d.side(arm(d.spread(1.2, 0.1), forward, d.spread(0, 0.15), d.between(0.1, 0.6)), side)


def _lunge(d: Draft) -> None:
    front, back = d.sides()
    d.leg(front, d.between(0.7, 1.2), 0.1, 0.05, d.between(0.7, 1.2), 0.03)
    d.leg(back, -d.between(0.2, 0.45), 0.08, 0.1, d.between(0.1, 0.7), 0.03, 0.3)
    d.torso(0.08, 0.15)
    for side in ("left", "right"):
        if d.rng.random() < 0.5:
            d.hand_at(side, _HIP)
        else:
            d.side(arm(d.between(0.3, 1.2), d.spread(0.2, 0.3), d.spread(0, 0.2), d.between(0.1, 1.0)), side)


KINDS: dict[str, tuple[float, Callable[[Draft], None]]] = {
    "relaxed": (0.20, _relaxed),
    "a_pose": (0.11, _a_pose),
    "contrapposto": (0.11, _contrapposto),
    "hands_on_hips": (0.07, _hands_on_hips),
    "one_hand_on_hip": (0.05, _one_hand_on_hip),
    "pockets": (0.05, _pockets),
    "crossed": (0.04, _crossed),
    "in_front": (0.05, _in_front),
    "behind": (0.02, _behind),
    "to_face": (0.04, _to_face),
    "raised": (0.05, _raised),
    "wave": (0.04, _wave),
    "walk": (0.09, _walk),
    "sit": (0.02, _sit),
    "reach_out": (0.05, _reach_out),
    "dance": (0.05, _dance),
    "leg_up": (0.015, _leg_up),
    "squat": (0.015, _squat),
    "lunge": (0.01, _lunge),
    "t_pose": (0.02, _t_pose),
}
"""Kind -> how often, and what puts it together."""


def _hands(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Finger poses (15,3) of both hands: from flat to fist, mostly alike."""
    curls = sample_curls(2, rng)
    curls[1] = curls[1] if rng.random() < 0.4 else curls[0]
    strength = rng.choice([0.3, 1.0, 1.6], p=[0.2, 0.65, 0.15])
    left, right = curls * strength
    return left, mirror_pose(right)


def sample_pose(rng: np.random.Generator, kind: str | None = None) -> dict[str, np.ndarray]:
    """A random possible pose, of `kind` or of any by frequency.

    Returns axis-angle radians and expression coefficients by the names of `Body`: body_pose (21,3),
    left_hand_pose and right_hand_pose (15,3), jaw_pose, leye_pose and reye_pose (3,), expression (10,).
    Raises ValueError for an unknown kind, RuntimeError if no possible pose of it was found.
    """
    if kind is not None and kind not in KINDS:
        raise CallError(f"unknown kind of pose '{kind}', expected one of {sorted(KINDS)}")
    names, shares = list(KINDS), np.array([share for share, _ in KINDS.values()])
    chosen = kind or str(rng.choice(names, p=shares / shares.sum()))
    for _ in range(ATTEMPTS):
        draft = Draft(rng)
        KINDS[chosen][1](draft)
        if possible(draft.rotvecs):
            return finish(draft.rotvecs, rng)
    raise RuntimeError(
        f"no possible pose of kind '{chosen}' in {ATTEMPTS} attempts: its angles leave the joint limits or "
        f"cross the body"
    )


def finish(rotvecs: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """`sample_pose`'s result for the rotations (55,3) of a draft: hands, gaze, jaw and expression are
    drawn."""
    left, right = _hands(rng)
    gaze = np.array([rng.normal(0, 0.08), rng.normal(0, 0.15), 0.0])
    jaw = np.array([abs(rng.normal(0, 0.12)) if rng.random() < 0.3 else 0.0, 0.0, 0.0])
    expression = rng.normal(0, 0.7, 10) * (rng.random() < 0.7)
    pose = {
        "body_pose": rotvecs[1:22],
        "left_hand_pose": left,
        "right_hand_pose": right,
        "jaw_pose": jaw,
        "leye_pose": gaze,
        "reye_pose": gaze,
    }
    return {name: value.astype(np.float32) for name, value in (pose | {"expression": expression}).items()}
