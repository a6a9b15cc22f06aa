"""Axioms of rotations: round trips, group laws, gradients at the hard places."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from turnaround.pipeline.values.rotation import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_quat,
    matrix_to_rot6d,
    quat_multiply,
    quat_to_matrix,
    rot6d_to_matrix,
)

seeds = st.integers(0, 10_000)
# angles near zero and near pi on purpose: that is where formulas break
angle = st.one_of(st.floats(0, math.pi - 1e-4), st.floats(0, 1e-5), st.floats(math.pi - 1e-2, math.pi - 1e-4))


def axis(seed):
    return torch.nn.functional.normalize(
        torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=0
    )


@given(seed=seeds, angle=angle)
def test_axis_angle_round_trip_and_orthogonality(seed, angle):
    rotvec = axis(seed) * angle
    R = axis_angle_to_matrix(rotvec)
    assert torch.allclose(R @ R.T, torch.eye(3, dtype=torch.float64), atol=1e-9)
    assert torch.linalg.det(R).item() == pytest.approx(1)
    assert torch.allclose(matrix_to_axis_angle(R), rotvec, atol=2e-6)


@given(seed=seeds, angle=angle)
def test_quaternion_and_6d_round_trips(seed, angle):
    R = axis_angle_to_matrix(axis(seed) * angle)
    assert torch.allclose(quat_to_matrix(matrix_to_quat(R)), R, atol=1e-8)
    assert torch.allclose(rot6d_to_matrix(matrix_to_rot6d(R)), R, atol=1e-9)


@given(a=seeds, b=seeds)
def test_quaternion_product_is_composition(a, b):
    qa, qb = (
        torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(s))
        for s in (a, b + 20_000)
    )
    qa, qb = torch.nn.functional.normalize(qa, dim=0), torch.nn.functional.normalize(qb, dim=0)
    assert torch.allclose(
        quat_to_matrix(quat_multiply(qa, qb)), quat_to_matrix(qa) @ quat_to_matrix(qb), atol=1e-9
    )


def test_rodrigues_gradient_is_right_away_from_zero_and_finite_at_zero():
    rotvec = torch.tensor(
        [[0.3, -1.1, 0.4], [1e-3, 0, 0], [2.0, 1.0, -1.5]], dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(axis_angle_to_matrix, rotvec)
    zero = torch.zeros(3, requires_grad=True)
    axis_angle_to_matrix(zero)[2, 1].backward()
    assert torch.allclose(zero.grad, torch.tensor([1.0, 0, 0]))
