"""Sampled poses: possible, reproducible, and where the hands are asked to be."""

from __future__ import annotations

import numpy as np
import pytest

from turnaround.data.poses.arms import ARMS
from turnaround.data.poses.checks import TOLERANCE, forward_kinematics, penetration, possible
from turnaround.data.poses.everyday import KINDS, sample_pose
from turnaround.data.poses.keys import Key, two_bones
from turnaround.data.poses.limbs import Reach, arm, joint, leg, mirror, reach
from turnaround.data.poses.stances import STANCES
from turnaround.data.poses.variety import sample_varied_pose
from turnaround.models.body.skeleton import JOINT_INDEX


def full(body_pose: np.ndarray) -> np.ndarray:
    rotvecs = np.zeros((55, 3))
    rotvecs[1:22] = body_pose
    return rotvecs


def posed(limb: dict[str, np.ndarray], prefix: str = "left_") -> np.ndarray:
    rotvecs = np.zeros((55, 3))
    for name, rotvec in limb.items():
        rotvecs[JOINT_INDEX[prefix + name]] = rotvec
    return rotvecs


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_possible(kind: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        pose = sample_pose(rng, kind)
        assert possible(full(pose["body_pose"]))
        shapes = {name: value.shape for name, value in pose.items()}
        assert shapes == {
            "body_pose": (21, 3),
            "left_hand_pose": (15, 3),
            "right_hand_pose": (15, 3),
            "jaw_pose": (3,),
            "leye_pose": (3,),
            "reye_pose": (3,),
            "expression": (10,),
        }
        assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in pose.values())


def test_a_seed_is_a_pose() -> None:
    one, same, other = (sample_pose(np.random.default_rng(seed))["body_pose"] for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.05


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="unknown kind of pose 'flying'"):
        sample_pose(np.random.default_rng(0), "flying")


def test_limbs_go_where_their_angles_say() -> None:
    down, _ = forward_kinematics(posed(arm(np.pi / 2, 0.0, 0.0, 0.0)))
    assert down[JOINT_INDEX["left_wrist"], 1] < down[JOINT_INDEX["left_shoulder"], 1] - 0.4
    ahead, _ = forward_kinematics(posed(arm(np.pi / 2, np.pi / 2, 0.0, 0.0)))
    assert ahead[JOINT_INDEX["left_wrist"], 2] > ahead[JOINT_INDEX["left_shoulder"], 2] + 0.4
    up, _ = forward_kinematics(posed(arm(-1.2, 0.0, 0.0, 0.0)))
    assert up[JOINT_INDEX["left_wrist"], 1] > up[JOINT_INDEX["head"], 1]
    knee, _ = forward_kinematics(posed(leg(np.pi / 2, 0.0, 0.0, np.pi / 2)))
    assert abs(knee[JOINT_INDEX["left_knee"], 1] - knee[JOINT_INDEX["left_hip"], 1]) < 0.06
    assert knee[JOINT_INDEX["left_ankle"], 1] < knee[JOINT_INDEX["left_knee"], 1] - 0.35
    aside, _ = forward_kinematics(posed(leg(0.0, 0.5, 0.0, 0.0)))
    assert aside[JOINT_INDEX["left_ankle"], 0] > joint("left_ankle")[0] + 0.2


def test_reach_puts_the_wrist_there() -> None:
    for target in ((0.22, 0.1, 0.05), (0.05, 0.2, 0.2), (0.3, 0.6, 0.15)):
        position, _ = forward_kinematics(
            posed(reach(Reach(target, (1.0, -0.3, -0.3), (0.0, -0.5, 1.0), (-1.0, 0.0, 0.0))))
        )
        # the arm is taken as straight in the T-pose, which it is to about five degrees
        assert np.linalg.norm(position[JOINT_INDEX["left_wrist"]] - target) < 0.04


def test_mirror_is_an_involution() -> None:
    limb = arm(0.3, 0.4, 0.5, 0.6)
    for name, rotvec in mirror(mirror(limb)).items():
        np.testing.assert_array_equal(rotvec, limb[name])
    left, _ = forward_kinematics(posed(limb))
    right, _ = forward_kinematics(posed(mirror(limb), "right_"))
    np.testing.assert_allclose(
        left[JOINT_INDEX["left_wrist"]] * [-1, 1, 1], right[JOINT_INDEX["right_wrist"]], atol=1e-4
    )


def test_arm_through_the_belly_is_rejected() -> None:
    inside = posed(reach(Reach((0.0, 0.05, 0.0), (1.0, 0.0, -0.5), (-1.0, 0.0, 0.0), (0.0, 0.0, -1.0))))
    assert penetration(inside) > TOLERANCE and not possible(inside)
    assert penetration(np.zeros((55, 3))) < 0


def test_backward_knee_and_broken_elbow_are_rejected() -> None:
    assert not possible(posed({"knee": np.array([-0.5, 0.0, 0.0])}))
    assert not possible(posed({"elbow": np.array([0.0, 0.5, 0.0])}))
    assert not possible(posed({"elbow": np.array([0.0, -3.0, 0.0])}))
    assert not possible(posed({"hip": np.array([-2.5, 0.0, 0.0])}))


@pytest.mark.parametrize("stance", STANCES)
def test_every_stance_is_possible_with_arms_that_suit_it(stance: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(2):
        pose = sample_varied_pose(rng, stance)
        assert possible(full(pose.parameters["body_pose"]))
        assert pose.kind.startswith(f"{stance}/") and pose.root.shape == (3,)


@pytest.mark.parametrize("arms", ARMS)
def test_every_kind_of_arms_is_possible(arms: str) -> None:
    stance = "crouch" if arms == "on_knees" else "stand"  # nobody who stands upright reaches their knees
    pose = sample_varied_pose(np.random.default_rng(2), stance, arms)
    assert possible(full(pose.parameters["body_pose"]))


def test_feet_of_a_lunge_stand_on_one_level_and_the_knee_is_bent() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        pose = sample_varied_pose(rng, "lunge", "hanging")
        rotvecs = full(pose.parameters["body_pose"])
        rotvecs[0] = pose.root
        at, _ = forward_kinematics(rotvecs)
        feet = at[[JOINT_INDEX["left_foot"], JOINT_INDEX["right_foot"]]]
        assert abs(feet[0, 1] - feet[1, 1]) < 0.09
        assert abs(feet[0, 2] - feet[1, 2]) > 0.4
        assert max(rotvecs[JOINT_INDEX[f"{side}_knee"], 0] for side in ("left", "right")) > 0.6


def test_two_bones_reach_where_they_are_sent() -> None:
    for forward, down in ((0.3, 0.6), (-0.4, 0.5), (0.0, 0.8)):
        hip, knee = two_bones(forward, down)
        thigh, shin = (
            np.linalg.norm(joint(a) - joint(b))
            for a, b in (("left_knee", "left_hip"), ("left_ankle", "left_knee"))
        )
        reached = thigh * np.array([np.sin(hip), np.cos(hip)]) + shin * np.array(
            [np.sin(hip - knee), np.cos(hip - knee)]
        )
        np.testing.assert_allclose(reached, [forward, down], atol=1e-6)


def test_a_hand_finds_its_place_from_a_bent_trunk() -> None:
    goal = Reach((0.25, 0.25, 0.25), (1.0, -0.3, -0.3), (0.0, -0.5, 1.0), (-1.0, 0.0, 0.0))
    draft = Key(np.random.default_rng(0))
    draft.torso(0.0, 0.5, 0.3, 0.1)
    for side in ("left", "right"):
        draft.hand_to(side, goal, 0.0)
        assert (
            np.linalg.norm(
                draft.place(f"{side}_wrist") * (1 if side == "left" else np.array([-1, 1, 1])) - goal.wrist
            )
            < 0.05
        )


def test_hands_that_hold_a_bar_are_closed() -> None:
    pose = sample_varied_pose(np.random.default_rng(4), "lunge", "bar_back")
    assert pose.held == "bar_back"
    for side in ("left", "right"):
        assert np.abs(pose.parameters[f"{side}_hand_pose"][:12, 2]).min() > 0.6
