"""The joint regressor: each joint as a weighted mean of skin vertices around it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from turnaround.models.body.skeleton import JOINT_NAMES, MIRROR_JOINT, PARENTS

NEAREST, CANDIDATES, SUM_WEIGHT = 2400, 600, 100.0
# MakeHuman's morphs move these joints' markers by up to 20 mm against the skin (between sexes and ages).
# Un-posing
# turns nothing at them, so they are defined by the skin instead: a ring around the limb, centred for the mean
# person.
RING_JOINTS = ("spine1", "spine2", "spine3", "neck", "left_knee", "right_knee")
RING_HALF_HEIGHT, EVENNESS = 0.03, 0.1  # metres; weight of "all vertices count the same"


def _candidates(
    joint: int, mean: np.ndarray, target: np.ndarray, weights: np.ndarray, skin: np.ndarray
) -> np.ndarray:
    """Vertices around a joint that move with it, its parent or its children, evenly thinned to CANDIDATES."""
    related = [joint, max(PARENTS[joint], 0), *(child for child in range(55) if PARENTS[child] == joint)]
    near = skin[(weights[skin][:, related] > 0.02).any(1)]
    near = near[np.argsort(np.linalg.norm(mean[near] - target, axis=1), kind="stable")[:NEAREST]]
    return near[:: max(1, len(near) // CANDIDATES)]


def _fitted_row(people: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """Non-negative weights of the vertices `people` (N,C,3) that follow the joint (N,3) over the
    population."""
    design = people.transpose(0, 2, 1).reshape(-1, people.shape[1])
    design = np.vstack([design, np.full((1, people.shape[1]), SUM_WEIGHT)]).astype(np.float64)
    row, _ = nnls(design, np.append(joint.reshape(-1), SUM_WEIGHT), maxiter=5000)
    return row / row.sum()


def _ring_row(mean: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """The most even non-negative weights of a ring (C,3) whose centre for the mean person is `joint` (3,)."""
    count = len(mean)
    design = np.vstack([mean.T * SUM_WEIGHT, np.full((1, count), SUM_WEIGHT), np.eye(count) * EVENNESS])
    goal = np.concatenate([joint * SUM_WEIGHT, [SUM_WEIGHT], np.full(count, EVENNESS / count)])
    row, _ = nnls(design.astype(np.float64), goal, maxiter=5000)
    return row / row.sum()


def fit_regressor(
    people: np.ndarray,
    joints: np.ndarray,
    weights: np.ndarray,
    skin: np.ndarray,
    eyes: dict[str, np.ndarray],
    mirror: np.ndarray,
) -> np.ndarray:
    """J_regressor (55,V): non-negative, rows sum to one, exactly symmetric.

    people (N,V,3) T-posed, joints (N,55,3), weights (V,55), skin and eyes index the vertices that may be used
    ("left_eye" -> indices), mirror (V,).
    """
    mean, mean_joints = people.mean(0), joints.mean(0)
    regressor = np.zeros((55, people.shape[1]))
    for joint, name in enumerate(JOINT_NAMES):
        if MIRROR_JOINT[joint] < joint:
            regressor[joint] = regressor[MIRROR_JOINT[joint]][mirror]
            continue
        chosen = eyes.get(name)
        if chosen is None:
            chosen = _candidates(joint, mean, mean_joints[joint], weights, skin)
        if name in RING_JOINTS:
            chosen = chosen[np.abs(mean[chosen, 1] - mean_joints[joint, 1]) < RING_HALF_HEIGHT]
            regressor[joint, chosen] = _ring_row(mean[chosen], mean_joints[joint])
        else:
            regressor[joint, chosen] = _fitted_row(people[:, chosen], joints[:, joint])
        if MIRROR_JOINT[joint] == joint:
            regressor[joint] = 0.5 * (regressor[joint] + regressor[joint][mirror])
    return regressor
