"""The fit to landmarks: exact derivatives, what it follows and what it leaves, hinges, the prior."""

import dataclasses

import pytest
import torch
from toy_landmarks import (
    batch_of,
    centred,
    disturbed,
    lifted_of,
    made_up_lifter,
    near,
    random_body,
    sighting_of,
)

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.estimator.config import FitConfig
from turnaround.models.estimator.crop import project_plane
from turnaround.models.estimator.kinematics import to_local
from turnaround.models.estimator.lifter.fit import (
    HINGES,
    _hinges,
    _jacobian,
    _Prior,
    fit_body,
    landmark_trust,
)
from turnaround.models.estimator.lifter.landmark_points import (
    POINT_JOINTS,
    body_points,
    carried_landmarks,
    observed_points,
)
from turnaround.models.estimator.lifter.network import Lifted
from turnaround.models.estimator.polish import turn_chain
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle

torch.set_num_threads(1)  # the equations are small: threads would wait for each other


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def lifter():
    return made_up_lifter()


def plane_error(found: Lifted, lifter, seen) -> torch.Tensor:
    points = project_plane(body_points(found.joints, found.rotations, lifter.offsets))
    return (points - observed_points(seen)[0]).norm(dim=-1)


# derivatives, in float64


def in_double(found: Lifted) -> Lifted:
    return Lifted(**{name: value.double() for name, value in vars(found).items()})


def moved_by(change: torch.Tensor, found: Lifted):
    """Rotations, betas and pelvis after a step of the fit's 79 unknowns."""
    turns = axis_angle_to_matrix(change[None, :66].reshape(1, 22, 3))
    return turn_chain(turns, found.rotations), found.betas + change[66:76], found.pelvis + change[76:]


def test_the_jacobian_of_projected_landmarks_is_exact(model, lifter):
    double, found = made_up_lifter().double(), in_double(lifted_of(random_body(1), model))
    skeleton, offsets = double.skeleton, double.offsets

    def residual(change: torch.Tensor) -> torch.Tensor:
        rotations, betas, pelvis = moved_by(change, found)
        return project_plane(body_points(skeleton(rotations, betas) + pelvis[:, None], rotations, offsets))[0]

    expected = torch.autograd.functional.jacobian(residual, torch.zeros(79, dtype=torch.float64))
    joints = skeleton(found.rotations, found.betas) + found.pelvis[:, None]
    points = body_points(joints, found.rotations, offsets)
    by_betas = skeleton.by_betas(found.rotations)[:, list(POINT_JOINTS)]
    given = _jacobian(points, joints, carried_landmarks().to(points), by_betas)[0]
    torch.testing.assert_close(given, expected, atol=1e-9, rtol=1e-9)


def test_the_jacobian_of_the_prior_is_exact_at_the_lifted_body(model):
    double = made_up_lifter().double()
    found = in_double(lifted_of(random_body(1), model))
    found = dataclasses.replace(found, spread=0.1 + torch.rand(1, 22, dtype=torch.float64))
    prior = _Prior.of(double.skeleton, found, FitConfig())

    def residual(change: torch.Tensor) -> torch.Tensor:
        return prior.rows(*moved_by(change, found))[1][0]

    # not at zero, where the angle of a rotation has no derivative, but beside it
    beside = 1e-4 * torch.randn(79, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.autograd.functional.jacobian(residual, beside)
    given = prior.rows(found.rotations, found.betas, prior.pelvis)[0][0]
    torch.testing.assert_close(given, expected, atol=0.02, rtol=1e-3)
    held = prior.rows(found.rotations, found.betas, prior.pelvis)[1]
    assert held.abs().max() < 1e-5


def test_the_jacobian_of_the_hinges_is_exact_for_turns_about_their_axes(model):
    body = random_body(1)
    body.body_pose[:] *= 0
    for name, (axis, sign) in HINGES.items():
        body.body_pose[:, JOINT_INDEX[name] - 1, axis] = -0.4 * sign  # the wrong way
    found = in_double(lifted_of(body, model))

    def residual(change: torch.Tensor) -> torch.Tensor:
        return _hinges(moved_by(change, found)[0], FitConfig())[1][0]

    zero = torch.zeros(79, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(residual, zero)
    rows, right = _hinges(found.rotations, FitConfig())
    torch.testing.assert_close(rows[0], expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(right[0], torch.full((4,), 4.0, dtype=torch.float64), atol=1e-5, rtol=0)


# the fit


@pytest.fixture(scope="module")
def case(model, lifter):
    body = centred(random_body(4), model)
    return batch_of(body, model, lifter.offsets), disturbed(lifted_of(body, model), lifter)


def test_exact_landmarks_are_met_and_the_body_comes_nearer(case, lifter):
    batch, start = case
    fitted = fit_body(lifter, start, batch.seen)
    before, after = (plane_error(found, lifter, batch.seen).mean() for found in (start, fitted))
    assert after < 0.15 * before
    distance = lambda found: (found.joints - batch.truth.joints)[:, :22].norm(dim=-1).mean(1)  # noqa: E731
    assert (distance(fitted) < 0.8 * distance(start)).all()
    again = lifter.skeleton(fitted.rotations, fitted.betas) + fitted.pelvis[:, None]
    near(fitted.joints, again, 1e-5)
    torch.testing.assert_close(
        fitted.rotations @ fitted.rotations.transpose(-1, -2),
        torch.eye(3).expand(4, 22, 3, 3),
        atol=1e-4,
        rtol=0,
    )


def test_what_is_not_seen_moves_nothing(case, lifter):
    batch, start = case
    flag = torch.tensor([[0.0, 1]]).expand(4, 2)
    seen = dataclasses.replace(batch.seen, hands_flag=flag, face_flag=torch.zeros(4))
    hands = batch.seen.hands.clone()
    hands[:, 0] = 5 * torch.randn(4, 21, 2)
    garbage = dataclasses.replace(seen, hands=hands, face=7 * torch.randn(4, 68, 3))
    plain, other = fit_body(lifter, start, seen), fit_body(lifter, start, garbage)
    torch.testing.assert_close(other.rotations, plain.rotations)
    torch.testing.assert_close(other.betas, plain.betas)
    trust = landmark_trust(lifter, seen, FitConfig())[1]
    assert (trust[:, 33:38] == 0).all() and (trust[:, 38:43] > 0).all() and (trust[:, 43:] == 0).all()


def test_a_hidden_landmark_pulls_less(case, lifter):
    seen = case[0].seen
    pose = seen.pose.clone()
    pose[:, 25, 3] = 0.1
    trust = landmark_trust(lifter, dataclasses.replace(seen, pose=pose), FitConfig())[1]
    torch.testing.assert_close(trust[:, 25] * 4, trust[:, 26])  # errors 0.04 and 0.01
    once, twice = (landmark_trust(lifter, seen, FitConfig(trust=trust))[1] for trust in (1, 2))
    torch.testing.assert_close(twice, 2 * once)


@pytest.mark.parametrize("name", HINGES)
def test_knees_and_elbows_bent_the_wrong_way_are_bent_back(model, lifter, name):
    axis, sign = HINGES[name]
    body = centred(random_body(1, 1), model)
    body.body_pose[:, JOINT_INDEX[name] - 1] = 0
    body.body_pose[:, JOINT_INDEX[name] - 1, axis] = -0.5 * sign
    wrong = lifted_of(body, model)
    seen = sighting_of(body, model, lifter.offsets)

    def bend(config: FitConfig) -> float:
        fitted = fit_body(lifter, wrong, seen, config)
        return sign * matrix_to_axis_angle(to_local(fitted.rotations))[0, JOINT_INDEX[name], axis].item()

    quiet = FitConfig(trust=0.1)
    assert bend(quiet.but(hinge=1e6)) < -0.4 and bend(quiet) > -0.2


def test_without_trust_the_lifted_body_comes_back(model, lifter):
    body = centred(random_body(3), model)
    found = lifted_of(body, model)
    elsewhere = sighting_of(random_body(3, 9), model, lifter.offsets)
    for config in (FitConfig(trust=0), FitConfig(steps=0)):
        kept = fit_body(lifter, found, elsewhere, config)
        near(kept.rotations, found.rotations, 1e-4)
        near(kept.joints, found.joints, 1e-4)
    far = dataclasses.replace(found, pelvis=found.pelvis + torch.tensor([0.1, 0, 0.15]))
    kept = fit_body(lifter, far, elsewhere, FitConfig(steps=0))
    # on the same ray, nearer to where people usually stand
    near(project_plane(kept.pelvis[:, None]), project_plane(far.pelvis[:, None]))
    assert (kept.pelvis[:, 2] < 0.1).all()
