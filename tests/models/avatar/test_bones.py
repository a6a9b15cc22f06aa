"""The bones beside the body model, twists, batches."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_avatar import MODEL, STANDING, pose

from turnaround.models.avatar.bones import (
    BONE_NAMES,
    BONE_PARENTS,
    TWISTS,
    UPRIGHT,
    part_twist,
    pose_bones,
    rest_bones,
)
from turnaround.models.avatar.rigging import rest_body
from turnaround.models.body.skeleton import JOINT_NAMES
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body


def test_every_bone_hangs_on_an_earlier_joint():
    assert BONE_NAMES[:55] == JOINT_NAMES and len(BONE_NAMES) == 55 + len(TWISTS)
    assert BONE_PARENTS[0] == -1 and all(parent < 55 for parent in BONE_PARENTS)


def test_at_rest_nothing_moves():
    rest = rest_bones(MODEL, STANDING)
    bones = pose_bones(MODEL, rest_body(STANDING), rest)
    assert torch.allclose(bones.rotations, torch.eye(3).expand_as(bones.rotations), atol=1e-5)
    centre = MODEL.rest_joints(STANDING)[0]  # the model's pelvis is not at its origin
    assert torch.allclose(bones.shifts, centre.expand_as(bones.shifts), atol=1e-5)
    assert torch.allclose(rest[0], torch.zeros(3))


def test_bones_are_where_the_body_has_its_joints():
    rest = rest_bones(MODEL, STANDING)
    bones = pose_bones(MODEL, STANDING, rest)
    assert torch.allclose(bones.positions[:55], MODEL(STANDING).joints, atol=1e-6)
    moved = (bones.rotations @ rest[..., None])[..., 0] + bones.shifts
    assert torch.allclose(moved, bones.positions, atol=1e-5)


def test_a_batch_is_its_bodies():
    other = pose(right_wrist=(40, 10, 0), left_hip=(-60, 0, 10))
    both = Body(
        **{name: torch.stack([value, getattr(other, name)]) for name, value in vars(STANDING).items()}
    )
    rest = rest_bones(MODEL, STANDING)
    batch = pose_bones(MODEL, both, rest)
    for k, body in enumerate((STANDING, other)):
        single = pose_bones(MODEL, body, rest)
        assert torch.allclose(batch[k].rotations, single.rotations, atol=1e-6)
        assert torch.allclose(batch[k].shifts, single.shifts, atol=1e-6)


@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(0, 1))
def test_a_twist_is_shared_and_a_swing_is_none(twist, swing, share):
    axis = torch.tensor([1.0, 0.0, 0.0])
    about = axis_angle_to_matrix(torch.tensor([twist, 0.0, 0.0]))
    across = axis_angle_to_matrix(torch.tensor([0.0, swing, 0.0]))
    part = axis_angle_to_matrix(torch.tensor([twist * share, 0.0, 0.0]))
    for both in (about @ across, across @ about):
        assert torch.allclose(part_twist(both, axis, share), part, atol=1e-4)


def test_no_twist_is_made_up_where_none_is_defined():
    turned = axis_angle_to_matrix(torch.tensor([0.0, math.pi, 0.0]))
    assert torch.allclose(part_twist(turned, torch.tensor([1.0, 0, 0]), 0.5), torch.eye(3), atol=1e-3)


@pytest.mark.parametrize(("side", "sign"), [("left", 1.0), ("right", -1.0)])
def test_the_forearm_turns_with_half_of_the_wrists_twist(side, sign):
    body = pose(**{f"{side}_wrist": (sign * 80.0, 0.0, 0.0)})
    rest = rest_bones(MODEL, body)
    bones = pose_bones(MODEL, body, rest)
    start, end = (rest[BONE_NAMES.index(f"{side}_{joint}")] for joint in ("elbow", "wrist"))
    axis = torch.nn.functional.normalize(UPRIGHT * (end - start), dim=0)
    half = bones.rotations[BONE_NAMES.index(f"{side}_forearm_twist1")]
    whole = bones.rotations[BONE_NAMES.index(f"{side}_forearm_twist2")]
    elbow = bones.rotations[BONE_NAMES.index(f"{side}_elbow")]
    turn = lambda a, b: math.degrees(math.acos(min(1.0, float((torch.trace(a.T @ b) - 1) / 2))))  # noqa: E731
    along = abs(float(axis[0])) * 80
    assert turn(elbow, whole) == pytest.approx(along, abs=8)
    assert turn(elbow, half) == pytest.approx(turn(elbow, whole) / 2, abs=0.5)


def test_another_place_moves_all_bones_alike():
    rest = rest_bones(MODEL, STANDING)
    here = pose_bones(MODEL, STANDING, rest)
    there = pose_bones(MODEL, replace(STANDING, transl=STANDING.transl + 1), rest)
    assert torch.allclose(there.shifts - here.shifts, torch.ones(len(BONE_NAMES), 3), atol=1e-5)
