"""The clips made here: they loop, stand on the ground, do not slide, and bend as people do."""

import math

import pytest
import torch
from toy_motions import sole_points

from turnaround.data.poses.checks import penetration, within_limits
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.motion.builtin import NAMES, builtin
from turnaround.models.motion.contact import touch
from turnaround.models.motion.kinematics import full_pose
from turnaround.models.motion.limits import limited
from turnaround.pipeline.errors import CallError

CLIPS = [name for name in NAMES if not name.endswith("_pose")]


@pytest.fixture(scope="module")
def model():
    return BodyModel.shared()


@pytest.mark.parametrize("name", CLIPS)
def test_first_and_last_frame_meet_and_nothing_jumps_between(name):
    motion = builtin(name)
    assert motion.loops and motion.duration == pytest.approx((len(motion) - 1) / 30)
    if name != "walk_forward":
        assert torch.allclose(motion.body.transl[0], motion.body.transl[-1], atol=1e-4)
    # an angle a frame; the whole turn passes pi, where the vector jumps
    steps = full_pose(motion.body)[:, 1:].diff(dim=0).norm(dim=-1)
    assert steps.max() < 0.45
    assert motion.body.transl.diff(dim=0).norm(dim=-1).max() < 0.08


@pytest.mark.parametrize("name", NAMES)
def test_feet_are_on_the_ground_and_not_below(name, model):
    heights = torch.stack([-points[..., 1].amax(1) for points in sole_points(builtin(name), model)])
    assert heights.min() > -0.003
    assert heights.amin(0).max() < 0.012  # one foot at least stands, in every frame


@pytest.mark.parametrize("name", NAMES)
def test_no_joint_turns_too_far_and_no_limb_enters_another(name):
    poses = full_pose(builtin(name, fps=10).body)
    assert torch.equal(limited(poses), poses)  # the limits of retargeting change nothing
    poses[:, [JOINT_INDEX["left_foot"], JOINT_INDEX["right_foot"]]] = 0  # the generator's toes bend less
    for pose in poses.double().numpy():
        assert within_limits(pose)
        assert penetration(pose) < 0.02


@pytest.mark.parametrize("name", [name for name in CLIPS if name != "walk"])
def test_a_foot_that_stands_stays_where_it_is(name, model):
    motion = builtin(name, fps=60)
    for points in sole_points(motion, model):
        found = touch(points, motion.fps)
        inner = found.held & found.held.roll(4) & found.held.roll(-4)  # not while it comes or goes
        standing = inner & (found.height < 0.005)
        assert standing.sum() > 20
        assert found.slip[standing].norm(dim=-1).max() < 0.05


def test_the_belt_of_a_walk_in_place_is_as_fast_as_the_walk_is(model):
    there, here = builtin("walk_forward"), builtin("walk")
    speed = (there.body.transl[-1] - there.body.transl[0]).norm() / there.duration
    assert 1.0 < speed < 1.4  # a comfortable walk
    assert torch.equal(there.body.body_pose, here.body.body_pose)
    assert float(there.body.transl[-1, 2]) < -3.0  # towards the camera
    assert here.body.transl[:, 2].abs().max() < 0.05


def test_knees_and_elbows_bend_their_own_way_and_arms_swing_against_legs():
    pose = full_pose(builtin("walk_forward").body)
    knees = pose[:, [JOINT_INDEX["left_knee"], JOINT_INDEX["right_knee"]], 0]
    assert knees.min() > -0.1 and 0.8 < knees.max() < 1.3  # straight in stance, 60 degrees in swinging
    hip, shoulder = (-pose[:, JOINT_INDEX[name]] for name in ("left_hip", "left_shoulder"))
    assert torch.corrcoef(torch.stack([hip[:, 0], shoulder[:, 1]]))[0, 1].abs() > 0.6


@pytest.mark.parametrize("name", ["idle", "wave", "squat", "walk"])
def test_arms_hang_beside_the_body_at_first(name, model):
    joints = model.joints(builtin(name)[:1].body)[0]
    for side in ("left", "right"):
        shoulder, wrist = (joints[JOINT_INDEX[f"{side}_{joint}"]] for joint in ("shoulder", "wrist"))
        away = wrist - shoulder
        assert away[1] > 0.35 and 0.03 < float(away[0].abs()) < 0.25


def test_the_turn_goes_once_around_to_the_left(model):
    motion = builtin("turn")
    hips = model.joints(motion.body)[:, [1, 2]]
    across = hips[:, 0] - hips[:, 1]
    heading = torch.atan2(across[:, 2], across[:, 0])
    steps = torch.atan2(torch.sin(heading.diff()), torch.cos(heading.diff()))
    assert float(steps.sum().abs()) == pytest.approx(2 * math.pi, abs=0.02)


@pytest.mark.parametrize(("seconds", "fps"), [(0.4, 24.0), (3.0, 30.0), (10.0, 12.5)])
def test_a_clip_is_as_long_as_it_is_asked_for_and_still_loops(seconds, fps):
    motion = builtin("walk_forward", seconds=seconds, fps=fps)
    assert motion.fps == fps and motion.duration == pytest.approx(seconds, abs=0.5 / fps) and motion.loops


def test_poses_have_one_frame_and_face_the_camera():
    motion = builtin("t_pose", seconds=3)
    assert len(motion) == 1 and not motion.body.body_pose.abs().max() > 1e-6
    assert torch.allclose(motion.body.global_orient.abs(), torch.tensor([[math.pi, 0, 0]]), atol=1e-5)


@pytest.mark.parametrize(
    "call", [dict(name="moonwalk"), dict(name="idle", fps=0.0), dict(name="idle", seconds=-1.0)]
)
def test_what_cannot_be_is_told(call):
    with pytest.raises(CallError, match=r"known are|more than 0"):
        builtin(**call)
