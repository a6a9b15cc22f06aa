"""Varied poses: stances crossed with what the arms do, and the everyday poses of data/poses/everyday.py;
every one possible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from turnaround.data.body.hands import mirror_pose
from turnaround.data.poses.arms import ARMS, TOGETHER
from turnaround.data.poses.checks import possible
from turnaround.data.poses.everyday import finish, sample_pose
from turnaround.data.poses.keys import Key, fist
from turnaround.data.poses.stances import STANCES
from turnaround.pipeline.errors import CallError

EVERYDAY = 0.4  # share of poses that come from data/poses/everyday.py
TRIES = 12  # of one combination of stance and arms before another is drawn
COMBINATIONS = 200


@dataclass(frozen=True)
class VariedPose:
    """A pose and what it is about."""

    kind: str  # "stance/arms", or a kind of data/poses/everyday.py
    parameters: dict[str, np.ndarray]  # as `sample_pose` gives them
    root: np.ndarray  # (3,) axis-angle of the pelvis against an upright one, SMPL-X axes
    held: str  # a kind of data/sets/held_things.py, empty for nothing


def sample_varied_pose(
    rng: np.random.Generator, stance: str | None = None, arms: str | None = None, everyday: float = EVERYDAY
) -> VariedPose:
    """A random possible pose; `stance` and `arms` fix a part of it, `everyday` is the share of everyday ones.

    Raises:
        ValueError: an unknown stance or arms.
        RuntimeError: no possible pose was found.
    """
    for given, known in ((stance, STANCES), (arms, ARMS)):
        if given is not None and given not in known:
            raise CallError(f"unknown part of a pose '{given}', expected one of {sorted(known)}")
    if stance is None and arms is None and rng.random() < everyday:
        return VariedPose("everyday", sample_pose(rng), np.zeros(3, np.float32), "")
    for _ in range(COMBINATIONS):
        legs = stance or _draw(rng, {name: share for name, (share, _) in STANCES.items()})
        factor = TOGETHER.get(legs, {})
        hands = arms or _draw(rng, {name: share * factor.get(name, 1.0) for name, (share, _) in ARMS.items()})
        for _ in range(TRIES):
            draft = Key(rng)
            STANCES[legs][1](draft)
            ARMS[hands][1](draft)
            if possible(draft.rotvecs):
                return _finished(draft, rng, f"{legs}/{hands}")
    raise RuntimeError(
        f"no possible pose of {stance or 'any stance'} with {arms or 'any arms'} in {COMBINATIONS * TRIES} "
        f"attempts"
    )


def _draw(rng: np.random.Generator, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=weights / weights.sum()))


def _finished(draft: Key, rng: np.random.Generator, kind: str) -> VariedPose:
    parameters = finish(draft.rotvecs, rng)
    for side in sorted(draft.gripping):
        hand = fist(rng)
        parameters[f"{side}_hand_pose"] = (hand if side == "left" else mirror_pose(hand)).astype(np.float32)
    return VariedPose(kind, parameters, draft.rotvecs[0].astype(np.float32), draft.held)
