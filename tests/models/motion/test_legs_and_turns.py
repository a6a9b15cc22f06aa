"""The small algebra of motions: shortest turns, legs that reach, soft limits, smoothing of rotations."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from turnaround.models.body.model import BodyModel
from turnaround.models.motion.builtin import builtin
from turnaround.models.motion.kinematics import full_pose, matrices, to_local, to_world, with_matrices
from turnaround.models.motion.legs import bones, reach
from turnaround.models.motion.limits import HINGES, bend, limited
from turnaround.models.motion.smoothing import smooth_rotations, smooth_values
from turnaround.models.motion.soles import rest_joints
from turnaround.models.motion.turns import about, shortest
from turnaround.pipeline.values.rotation import axis_angle_to_matrix


def random_rotations(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    return axis_angle_to_matrix(size * torch.randn(count, 3, generator=generator, dtype=torch.float64))


@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_the_shortest_turn_takes_one_direction_to_the_other(numbers):
    a, b = torch.tensor(numbers[:3]).double(), torch.tensor(numbers[3:]).double()
    if a.norm() < 1e-3 or b.norm() < 1e-3:
        return
    for u, v in ((a, b), (a, -a), (a, a)):
        turn = shortest(u, v)
        assert torch.allclose(turn @ (u / u.norm()), v / v.norm(), atol=1e-7)
        assert torch.allclose(turn @ turn.T, torch.eye(3).double(), atol=1e-9) and torch.det(turn) > 0


@pytest.fixture(scope="module")
def leg():
    return bones(rest_joints(BodyModel.shared(), torch.zeros(10)), "left")


def ankle_of(hip, thigh, shin, leg):
    return hip + (thigh @ leg[0][:, None])[..., 0] + (shin @ leg[1][:, None])[..., 0]


def posed_legs(count=200):
    thigh = random_rotations(count, 0.6, 0)
    flexion = torch.linspace(0, 2, count, dtype=torch.float64)
    shin = thigh @ about(torch.tensor([1.0, 0, 0]).double().expand(count, 3), flexion)
    hip = torch.randn(count, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return hip, thigh, shin @ random_rotations(count, 0.05, 2)


def test_a_leg_that_is_there_stays_as_it_is(leg):
    hip, thigh, shin = posed_legs()
    found = reach(hip, thigh, shin, leg, ankle_of(hip, thigh, shin, leg))
    bent = (thigh.mT @ shin)[:, 2, 1] > 0.2  # nearly straight ones are kept from snapping
    assert all(torch.allclose(a[bent], b[bent], atol=1e-6) for a, b in zip(found, (thigh, shin), strict=True))


def test_a_leg_reaches_what_is_near_enough_and_points_at_what_is_not(leg):
    hip, thigh, shin = posed_legs()
    way = torch.nn.functional.normalize(hip.roll(1, 0), dim=-1)
    for distance in (0.3, 0.6, 0.8):
        found = reach(hip, thigh, shin, leg, hip + distance * way)
        assert torch.allclose(ankle_of(hip, *found, leg), hip + distance * way, atol=1e-6)
    found = ankle_of(hip, *reach(hip, thigh, shin, leg, hip + 3 * way), leg) - hip
    assert torch.allclose(found / found.norm(dim=-1, keepdim=True), way, atol=1e-6)
    assert found.norm(dim=-1).max() <= float(leg[0].norm() + leg[1].norm())


def test_limits_leave_what_is_within_and_are_smooth_at_their_edge():
    pose = torch.zeros(400, 55, 3)
    pose[:, 4, 0] = torch.linspace(-1.5, 3.0, 400)  # the left knee, from far behind to far bent
    pose[:, 20, 1] = torch.linspace(0, 3.0, 400)  # the left wrist
    found = limited(pose)
    same = (pose[:, 4, 0] > 0) & (pose[:, 4, 0] < 2.4) & (pose[:, 20, 1] < 1.2)
    assert torch.equal(found[same], pose[same])
    axis, least, most, _ = HINGES["left_knee"]
    angle, left = bend(found[:, 4], axis)
    assert least - 1e-4 < angle.min() and angle.max() < most + 1e-4 and left.abs().max() < 1e-3
    assert found[:, 20].norm(dim=-1).max() < 1.4 + 1e-4
    assert (found.diff(dim=0).norm(dim=-1) >= 0).all() and found.diff(dim=0).abs().max() < 0.02


def test_poses_go_to_the_world_and_back():
    body = builtin("dance", seconds=1, fps=10).body
    local = matrices(body).double()
    assert torch.allclose(to_local(to_world(local)), local, atol=1e-6)
    assert torch.allclose(matrices(with_matrices(body, local)), matrices(body), atol=1e-6)


def test_smoothing_keeps_what_stands_still_and_wraps_whole_turns():
    still = full_pose(builtin("a_pose").body).repeat(20, 1, 1)
    for ends in ("nearest", "wrap"):
        assert torch.allclose(
            axis_angle_to_matrix(smooth_rotations(still, 2.0, ends)), axis_angle_to_matrix(still), atol=1e-5
        )
    turn = torch.zeros(40, 1, 3)
    turn[:, 0, 1] = torch.arange(40) * 2 * math.pi / 40
    found = axis_angle_to_matrix(smooth_rotations(turn, 2.0, "wrap"))
    assert torch.allclose(found, axis_angle_to_matrix(turn), atol=1e-4)  # even turning stays even
    assert torch.allclose(smooth_values(turn[:, 0, 1], 0.5, "nearest")[5:-5], turn[5:-5, 0, 1], atol=1e-5)
