"""Motion: its duration, resampling by the shortest arc, cuts and loops."""

import dataclasses
import math

import pytest
import torch

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.motion import Motion, slerp
from turnaround.pipeline.values.rotation import (
    axis_angle_to_matrix,
    axis_angle_to_quat,
    matrix_to_axis_angle,
    quat_to_axis_angle,
)
from turnaround.pipeline.values.types import Body


def turning(frames, angle=1.0, fps=10.0):
    """One elbow and the person turn evenly."""
    body = Body.neutral(frames)
    share = torch.linspace(0, 1, frames)
    pose = body.body_pose.clone()
    pose[:, 17, 1] = angle * share
    transl = torch.stack([share, 0 * share, 2 * share], -1)
    return Motion(dataclasses.replace(body, body_pose=pose, transl=transl), fps)


def test_length_duration_and_device():
    motion = turning(31)
    assert len(motion) == 31 and motion.duration == pytest.approx(3.0) and motion.to("cpu").fps == 10


def test_resampling_is_even_between_and_exact_at_frames():
    motion, finer = turning(11), turning(21, fps=20.0)
    found = motion.resampled(20.0)
    assert torch.allclose(found.body.body_pose, finer.body.body_pose, atol=1e-6)
    assert torch.allclose(found.body.transl, finer.body.transl, atol=1e-6) and found.fps == 20
    assert torch.allclose(found.resampled(10.0).body.body_pose, motion.body.body_pose, atol=1e-6)
    assert motion.resampled(10.0).body is motion.body


@pytest.mark.parametrize("fps", [7.0, 24.0, 29.97, 120.0])
def test_resampling_keeps_the_duration_within_a_frame(fps):
    motion = turning(40)
    found = motion.resampled(fps)
    assert 0 <= motion.duration - found.duration < 1 / fps + 1e-6


def test_rotations_go_the_short_way():
    body = Body.neutral(2)
    orient = torch.tensor([[0.0, 3.0, 0.0], [0.0, -3.0, 0.0]])  # 16 degrees apart through pi
    motion = Motion(dataclasses.replace(body, global_orient=orient), 1.0).resampled(2.0)
    assert float(motion.body.global_orient[1].norm()) == pytest.approx(math.pi, abs=1e-3)


def test_slerp_has_both_ends_and_even_speed():
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.nn.functional.normalize(torch.randn(50, 4, generator=generator), dim=-1) for _ in range(2))
    for share in (0.0, 1.0):
        end = slerp(a, b, torch.full((50, 1), share))
        assert ((end * (b if share else a)).sum(-1).abs() - 1).abs().max() < 1e-5
    half = slerp(a, b, torch.full((50, 1), 0.5))
    assert torch.allclose((half * a).sum(-1).abs(), (half * b).sum(-1).abs(), atol=1e-5)
    assert torch.allclose(
        slerp(a, -b, torch.full((50, 1), 0.3)), slerp(a, b, torch.full((50, 1), 0.3)), atol=1e-5
    )


def test_quaternions_and_axis_angle_are_inverse():
    generator = torch.Generator().manual_seed(2)
    rotvec = torch.randn(200, 3, generator=generator).double()
    rotvec = torch.cat([rotvec, 1e-9 * rotvec, torch.zeros(1, 3).double()])
    back = quat_to_axis_angle(axis_angle_to_quat(rotvec))
    wanted = matrix_to_axis_angle(axis_angle_to_matrix(rotvec))
    assert torch.allclose(back, wanted, atol=1e-6)


def test_a_cut_keeps_both_ends():
    motion = turning(31)
    part = motion.cut(1.0, 2.0)
    assert len(part) == 11 and torch.equal(part.body.transl, motion.body.transl[10:21])
    assert len(motion.cut(2.5)) == 6 and len(motion.cut(0, 99)) == 31


def test_a_loop_is_a_pose_that_comes_back_wherever_the_person_is():
    assert not turning(11).loops and not turning(1).loops
    assert turning(11, angle=0.0).loops and turning(11, angle=2 * math.pi).loops
    assert not turning(11, angle=0.01).loops


def test_what_cannot_be_is_told():
    with pytest.raises(CallError, match="nothing is left"):
        turning(11).cut(0.9, 0.3)
    with pytest.raises(CallError, match="more than 0"):
        turning(11).resampled(0.0)
