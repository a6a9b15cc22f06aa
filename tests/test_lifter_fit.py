"""The fit to landmarks, keypoints from it, the say of the picture's network, and the estimate stage around them."""

import dataclasses

import pytest
import torch
from toy_landmarks import (
    batch_of,
    centred,
    lifted_of,
    made_up_lifter,
    random_body,
    record_of,
    sighting_of,
)  # fmt: skip

from models import zoo
from models.body import BodyModel
from models.estimator.crop import project_plane
from models.estimator.estimate import MergeConfig, below, estimate_from_landmarks, merged, picture_share
from models.estimator.kinematics import KEYPOINT_NAMES as PICTURE_NAMES
from models.estimator.kinematics import to_local
from models.estimator.lifter.fit import HINGES, FitConfig, _carried, _hinges, _jacobian, _Prior, fit_body, landmark_trust
from models.estimator.lifter.keypoints import keypoint_table
from models.estimator.lifter.landmark_points import COUNT, POINT_JOINTS, body_points, observed_points
from models.estimator.lifter.network import Lifted
from models.estimator.lifter.predict import load_lifter, to_body
from models.estimator.model import Prediction
from models.estimator.polish import likely_depth, turn_chain
from models.keypoints import KEYPOINT_NAMES, keypoints
from models.landmarks.record import absent
from models.landmarks.wholebody import FACE_NAMES, hand_names
from models.refinement.evidence import FITTED, LANDMARK_NAMES, gather_evidence
from models.skeleton import JOINT_INDEX
from pipeline.camera import canonical_camera, project
from pipeline.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from pipeline.stage import StageError
from pipeline.types import View
from stages.estimate import Estimate

CPU = torch.device("cpu")
torch.set_num_threads(1)  # the equations are small: threads would wait for each other


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def lifter():
    return made_up_lifter()


def disturbed(found: Lifted, lifter, amount: float = 0.12, seed: int = 0) -> Lifted:
    """Every joint turned by about `amount` radians against its parent."""
    g = torch.Generator().manual_seed(seed)
    turns = axis_angle_to_matrix(amount * torch.randn(len(found.betas), 22, 3, generator=g))
    rotations, betas = turn_chain(turns, found.rotations), found.betas * 0
    joints = lifter.skeleton(rotations, betas) + found.pelvis[:, None]
    return dataclasses.replace(found, rotations=rotations, betas=betas, joints=joints)


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
    given = _jacobian(points, joints, _carried(skeleton), by_betas)[0]
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
    given = prior.rows(found.rotations, found.betas, likely_depth(found.pelvis))[0][0]
    torch.testing.assert_close(given, expected, atol=0.02, rtol=1e-3)
    held = prior.rows(found.rotations, found.betas, likely_depth(found.pelvis))[1]
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
    torch.testing.assert_close(right[0], torch.full((4,), 4.0, dtype=torch.float64))


# the fit


@pytest.fixture(scope="module")
def case(model, lifter):
    body = centred(random_body(4), model)
    return batch_of(body, model, lifter.offsets), disturbed(lifted_of(body, model), lifter)


def test_exact_landmarks_are_met_and_the_body_comes_nearer(case, lifter):
    batch, start = case
    fitted = fit_body(lifter, start, batch.seen)
    assert plane_error(fitted, lifter, batch.seen).mean() < 0.15 * plane_error(start, lifter, batch.seen).mean()
    distance = lambda found: (found.joints - batch.truth.joints)[:, :22].norm(dim=-1).mean(1)  # noqa: E731
    assert (distance(fitted) < 0.8 * distance(start)).all()
    again = lifter.skeleton(fitted.rotations, fitted.betas) + fitted.pelvis[:, None]
    torch.testing.assert_close(fitted.joints, again, atol=1e-5, rtol=0)
    torch.testing.assert_close(fitted.rotations @ fitted.rotations.transpose(-1, -2), torch.eye(3).expand(4, 22, 3, 3), atol=1e-4, rtol=0)


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
    torch.testing.assert_close(landmark_trust(lifter, seen, FitConfig(trust=2))[1], 2 * landmark_trust(lifter, seen, FitConfig())[1])


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
    assert bend(dataclasses.replace(quiet, hinge=1e6)) < -0.4 and bend(quiet) > -0.2


def test_without_trust_the_lifted_body_comes_back(model, lifter):
    body = centred(random_body(3), model)
    found = lifted_of(body, model)
    elsewhere = sighting_of(random_body(3, 9), model, lifter.offsets)
    for config in (FitConfig(trust=0), FitConfig(steps=0)):
        kept = fit_body(lifter, found, elsewhere, config)
        torch.testing.assert_close(kept.rotations, found.rotations, atol=1e-4, rtol=0)
        torch.testing.assert_close(kept.joints, found.joints, atol=1e-4, rtol=0)
    far = dataclasses.replace(found, pelvis=found.pelvis + torch.tensor([0.1, 0, 0.2]))
    torch.testing.assert_close(fit_body(lifter, far, elsewhere, FitConfig(steps=0)).pelvis, likely_depth(far.pelvis))


# keypoints


@pytest.fixture(scope="module")
def told(model, lifter):
    """A person whose landmarks are exact: the body as fitted, its Body, the sighting, the record, the table."""
    person = centred(random_body(1, 5), model)
    fitted, seen, camera = lifted_of(person, model), sighting_of(person, model, lifter.offsets), canonical_camera(512)
    body, record = to_body(lifter, fitted, model), record_of(seen, 512)
    return fitted, body, seen, record, keypoint_table(lifter, fitted, seen, body, model, camera, record)


def test_exact_landmarks_give_the_body_s_own_keypoints(model, told):
    _, body, _, record, table = told
    own, _ = project(keypoints(model(body), model), canonical_camera(512))
    for name, place in zip(KEYPOINT_NAMES, own, strict=True):
        if "small_toe" in name:
            assert name not in table
            continue
        torch.testing.assert_close(torch.tensor(table[name][:2]), place, atol=0.02, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
        assert table[name][2] == pytest.approx(1)
    assert table["left_middle_finger4"] == pytest.approx([*record["hands"]["left"]["xy"][12], 1.0])
    assert table["face-30"][:2] == pytest.approx(record["face"]["points"][30][:2])


def test_names_are_those_of_wholebody(told):
    known = {*KEYPOINT_NAMES, *FACE_NAMES, *hand_names("left"), *hand_names("right")}
    assert len(known) == 133 and set(told[-1]) == known - {"left_small_toe", "right_small_toe"}


def test_nothing_is_told_of_what_is_not_seen(model, lifter, told):
    fitted, body, seen, record, full = told
    part = dataclasses.replace(seen, hands_flag=torch.tensor([[0.0, 1]]), face_flag=torch.zeros(1))
    swapped = dataclasses.replace(part, pose=part.pose * torch.tensor([-1.0, 1, 1, 1, 1]))  # as seen from behind
    without = record | {"hands": {"left": None, "right": record["hands"]["right"]}, "face": None}
    table = keypoint_table(lifter, fitted, part, body, model, canonical_camera(512), without)
    assert not set(table) & {*hand_names("left"), *FACE_NAMES} and set(hand_names("right")) <= set(table)
    assert table["left_wrist"] == pytest.approx(full["left_wrist"], abs=0.02)  # the pose's own, where the hand is not seen
    table = keypoint_table(lifter, fitted, swapped, body, model, canonical_camera(512), without)
    assert not set(table) & {"nose", "left_eye", "right_eye", "left_ear", "right_ear"} and "left_knee" in table


def test_the_refinement_takes_no_fingers_and_no_face(told):
    view = View(torch.ones(512, 512, 3), torch.zeros(512, 512), canonical_camera(512))
    evidence = gather_evidence(view, told[-1], views=2, size=64)
    taken = {LANDMARK_NAMES[int(k)] for k in evidence.landmark_index}
    assert taken <= FITTED and taken == set(KEYPOINT_NAMES) - {"left_small_toe", "right_small_toe"}


# the picture's network beside the landmarks


def picture_of(found: Lifted) -> Prediction:
    count = len(found.betas)
    return Prediction(
        found.rotations, found.betas, found.pelvis, found.joints, project_plane(found.joints),
        torch.full(found.joints.shape[:2], 0.02), torch.zeros(count, 26, 4, 4), torch.zeros(count, 0, 8),
    )  # fmt: skip


def angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return matrix_to_axis_angle(a.transpose(-1, -2) @ b).norm(dim=-1)


def test_a_picture_that_meets_the_landmarks_has_a_say_and_another_has_none(model, lifter):
    body = centred(random_body(3), model)
    true, seen = lifted_of(body, model), sighting_of(body, model, lifter.offsets)
    found = disturbed(true, lifter)
    good = merged(lifter, found, picture_of(true), seen, MergeConfig())
    assert angle(good.rotations, true.rotations).mean() < 0.7 * angle(found.rotations, true.rotations).mean()
    assert (good.spread < found.spread).all()
    astray = disturbed(true, lifter, 1.0, seed=3)
    bad = merged(lifter, found, picture_of(astray), seen, MergeConfig())
    torch.testing.assert_close(bad.rotations, found.rotations, atol=0.03, rtol=0)
    never = merged(lifter, found, picture_of(true), seen, MergeConfig(strength=0))
    torch.testing.assert_close(never.rotations, found.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(never.pelvis, found.pelvis)


def test_one_misread_limb_costs_the_picture_its_say_there(model, lifter):
    body = centred(random_body(1), model)
    true, seen = lifted_of(body, model), sighting_of(body, model, lifter.offsets)
    turns = torch.zeros(1, 22, 3)
    turns[:, JOINT_INDEX["left_shoulder"], 2] = 0.3
    rotations = turn_chain(axis_angle_to_matrix(turns), true.rotations)
    astray = dataclasses.replace(true, rotations=rotations, joints=lifter.skeleton(rotations, true.betas) + true.pelvis[:, None])
    share = picture_share(lifter, true, picture_of(astray), seen, MergeConfig())[0]
    assert share[JOINT_INDEX["left_elbow"]] < 0.3 * share[JOINT_INDEX["right_elbow"]] and share[JOINT_INDEX["right_elbow"]] > 0.1


def test_landmarks_hang_on_joints_above_them():
    table = below(CPU)
    assert table.shape == (22, COUNT) and (table[0] == 1).all()
    assert table[JOINT_INDEX["left_knee"]].sum() == 4  # knee, ankle, heel and toes


# end to end


@pytest.fixture(scope="module")
def shipped():
    try:
        return load_lifter()
    except zoo.MissingWeight:
        pytest.skip("the lifter's weights are not there")


@pytest.fixture(scope="module")
def person(model, shipped):
    """A known person and the record of their exact landmarks, as the shipped lifter knows where landmarks lie."""
    body = centred(random_body(1, 2), model)
    mask = torch.zeros(256, 256)
    mask[30:226, 90:166] = 1
    view = View(1 - 0.6 * mask[..., None].expand(-1, -1, 3), mask, canonical_camera(256))
    return body, view, record_of(sighting_of(body, model, shipped.offsets), 256)


def test_exact_landmarks_give_nearly_the_true_body(model, shipped, person):
    body, view, record = person
    found, table = estimate_from_landmarks(shipped, None, view, record, model)
    joints, true = model(found).joints[:22], model(body).joints[0, :22]
    error = ((joints - joints[0]) - (true - true[0])).norm(dim=-1)
    assert error.mean() < 0.08 and error.max() < 0.25  # metres; depth is the lifter's guess
    flat = project(joints, view.camera)[0] - project(true, view.camera)[0]
    assert flat.norm(dim=-1).mean() < 5  # pixels of 256
    assert set(table) >= {"nose", "left_knee", "left_hand_root", "face-0"}


def run_stage(view, landmarks, given=None, **config):
    return Estimate(Estimate.Config(**config)).run(device=CPU, view=view, landmarks=landmarks, given=given)


def test_the_stage_takes_landmarks_where_they_are_and_the_picture_else(shipped, person):
    _, view, record = person
    made = run_stage(view, record)
    assert set(made) == set(Estimate.makes) and {"left_heel", "face-0"} <= set(made["keypoints"])
    assert made["overlay"].shape == (256, 256, 3)
    nobody = absent("no person was found by pose_detection")
    alone = run_stage(view, nobody)
    assert list(alone["keypoints"]) == list(PICTURE_NAMES)
    for other in (run_stage(view, record, provider="embedded"), run_stage(view, record, provider="embedded", given=b"no body")):
        torch.testing.assert_close(other["body"].body_pose, alone["body"].body_pose)
    with pytest.raises(StageError, match="provider=landmarks, but no person was found by pose_detection"):
        run_stage(view, nobody, provider="landmarks")
    with pytest.raises(StageError, match="provider=given, but there is no SMPL-X file beside the photo"):
        run_stage(view, record, provider="given")


def test_the_picture_s_say_and_the_fit_are_settings(shipped, person):
    _, view, record = person
    plain, unfitted = run_stage(view, record, picture=0), run_stage(view, record, picture=0, fit_keypoints=False)
    assert not torch.allclose(plain["body"].body_pose, unfitted["body"].body_pose)
    assert Estimate(Estimate.Config()).weights() == ("estimator", "lifter", "body")
    assert Estimate(Estimate.Config(provider="embedded")).weights() == ("estimator", "body")
