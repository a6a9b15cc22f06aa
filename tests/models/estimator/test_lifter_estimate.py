"""What is made of a fitted body: keypoints, the picture's say beside the landmarks, the estimate stage."""

import dataclasses

import numpy as np
import pytest
import torch
from toy_landmarks import (
    centred,
    disturbed,
    lifted_of,
    made_up_lifter,
    near,
    random_body,
    record_of,
    sighting_of,
)

from turnaround.models import zoo
from turnaround.models.body.keypoints import KEYPOINT_NAMES, keypoints
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.estimator.config import MergeConfig
from turnaround.models.estimator.crop import project_plane
from turnaround.models.estimator.estimate import (
    below,
    better_covered,
    estimate_from_landmarks,
    merged,
    picture_share,
)
from turnaround.models.estimator.kinematics import KEYPOINT_NAMES as PICTURE_NAMES
from turnaround.models.estimator.lifter.keypoints import keypoint_table
from turnaround.models.estimator.lifter.landmark_points import AWAY, COUNT
from turnaround.models.estimator.lifter.network import Lifted
from turnaround.models.estimator.lifter.predict import load_lifter, to_body
from turnaround.models.estimator.model import Prediction
from turnaround.models.estimator.polish import turn_chain
from turnaround.models.estimator.predict import estimate_body, load_estimator
from turnaround.models.gst.config import GSTConfig
from turnaround.models.gst.train import new_model
from turnaround.models.gst.weights import save_gst
from turnaround.models.landmarks.record import absent
from turnaround.models.landmarks.wholebody import FACE_NAMES, hand_names
from turnaround.models.mesh.silhouette import body_masks
from turnaround.models.metrics.body import mpjpe_mm
from turnaround.models.refinement.evidence import FITTED, LANDMARK_NAMES, gather_evidence
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import canonical_camera, project
from turnaround.pipeline.values.crop import networks_copy
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body, View
from turnaround.stages.estimate import Estimate

CPU = torch.device("cpu")
torch.set_num_threads(1)  # the equations are small: threads would wait for each other


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def lifter():
    return made_up_lifter()


# keypoints


@pytest.fixture(scope="module")
def told(model, lifter):
    """A person with exact landmarks: the body as fitted, its Body, the sighting, the record, the table."""
    person = centred(random_body(1, 5), model)
    fitted, seen, camera = (
        lifted_of(person, model),
        sighting_of(person, model, lifter.offsets),
        canonical_camera(512),
    )
    body, record = to_body(lifter, fitted, model), record_of(seen, 512)
    return fitted, body, seen, record, keypoint_table(lifter, fitted, seen, body, model, camera, record)


def test_exact_landmarks_give_the_body_s_own_keypoints(model, told):
    _, body, _, record, table = told
    own, _ = project(keypoints(model(body), model), canonical_camera(512))
    for name, place in zip(KEYPOINT_NAMES, own, strict=True):
        if "small_toe" in name:
            assert name not in table
            continue
        torch.testing.assert_close(
            torch.tensor(table[name][:2]),
            place,
            atol=0.02,
            rtol=0,
            msg=lambda text, name=name: f"{name}: {text}",
        )
        assert table[name][2] == pytest.approx(1)
    assert table["left_middle_finger4"] == pytest.approx([*record["hands"]["left"]["xy"][12], 1.0])
    assert table["face-30"][:2] == pytest.approx(record["face"]["points"][30][:2])


def test_names_are_those_of_wholebody(told):
    known = {*KEYPOINT_NAMES, *FACE_NAMES, *hand_names("left"), *hand_names("right")}
    assert len(known) == 133 and set(told[-1]) == known - {"left_small_toe", "right_small_toe"}


def test_nothing_is_told_of_what_is_not_seen(model, lifter, told):
    fitted, body, seen, record, full = told
    part = dataclasses.replace(seen, hands_flag=torch.tensor([[0.0, 1]]), face_flag=torch.zeros(1))
    without = record | {"hands": {"left": None, "right": record["hands"]["right"]}, "face": None}
    table = keypoint_table(lifter, fitted, part, body, model, canonical_camera(512), without)
    assert not set(table) & {*hand_names("left"), *FACE_NAMES} and set(hand_names("right")) <= set(table)
    # the pose's own, where the hand is not seen
    assert table["left_wrist"] == pytest.approx(full["left_wrist"], abs=0.02)


def test_a_head_seen_from_behind_is_told_with_less_certainty(model, lifter, told):
    fitted, body, seen, record, _ = told
    swapped = dataclasses.replace(
        seen, face_flag=torch.zeros(1), pose=seen.pose * torch.tensor([-1.0, 1, 1, 1, 1])
    )
    table = keypoint_table(
        lifter, fitted, swapped, body, model, canonical_camera(512), record | {"face": None}
    )
    head = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    assert [table[name][2] for name in head] == pytest.approx([AWAY] * 5)
    assert table["left_knee"][2] == pytest.approx(1)


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
        torch.full(found.joints.shape[:2], 0.02), torch.zeros(count, 26, 4, 4),
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
    near(bad.rotations, found.rotations, 0.03)
    never = merged(lifter, found, picture_of(true), seen, MergeConfig(strength=0))
    near(never.rotations, found.rotations, 1e-5)
    torch.testing.assert_close(never.pelvis, found.pelvis)


def test_one_misread_limb_costs_the_picture_its_say_there(model, lifter):
    body = centred(random_body(1), model)
    true, seen = lifted_of(body, model), sighting_of(body, model, lifter.offsets)
    turns = torch.zeros(1, 22, 3)
    turns[:, JOINT_INDEX["left_shoulder"], 2] = 0.3
    rotations = turn_chain(axis_angle_to_matrix(turns), true.rotations)
    joints = lifter.skeleton(rotations, true.betas) + true.pelvis[:, None]
    astray = dataclasses.replace(true, rotations=rotations, joints=joints)
    share = picture_share(lifter, true, picture_of(astray), seen, MergeConfig())[0]
    left, right = (share[JOINT_INDEX[name]] for name in ("left_elbow", "right_elbow"))
    assert left < 0.3 * right and right > 0.1


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
    """A known person and the record of their exact landmarks, by the shipped lifter's offsets."""
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
    made = run_stage(view, record, provider="landmarks")
    assert {"left_heel", "face-0"} <= set(made.keypoints)
    assert made.overlay.shape == (256, 256, 3)
    nobody = absent("no person was found by pose_detection")
    alone = run_stage(view, nobody)
    assert list(alone.keypoints) == list(PICTURE_NAMES)
    for other in (
        run_stage(view, record, provider="embedded"),
        run_stage(view, record, provider="embedded", given=b"no body"),
    ):
        torch.testing.assert_close(other.body.body_pose, alone.body.body_pose)
    with pytest.raises(StageError, match="provider=landmarks, but no person was found by pose_detection"):
        run_stage(view, nobody, provider="landmarks")
    with pytest.raises(StageError, match="provider=given, but there is no SMPL-X file beside the photo"):
        run_stage(view, record, provider="given")


def test_a_gst_stands_for_the_estimator_by_its_weight(shipped, person, tmp_path):
    """An untrained one over the shipped estimator says its body, in one look for its two."""
    body, blot, record = person
    model = BodyModel.shared()
    outline = body_masks(
        model(first_of(body)).vertices, model.skin_faces.numpy().astype(np.int32), blot.camera[None]
    )
    view = View(1 - 0.6 * outline[0][..., None].expand(-1, -1, 3), outline[0].float(), blot.camera)
    config = GSTConfig(points=200, groups=2, landmarks=False)
    weights = str(save_gst(new_model("", "estimator", config), tmp_path / "gst.safetensors"))
    alone = run_stage(view, record, provider="gst", weights=weights)
    assert list(alone.keypoints) == list(PICTURE_NAMES)
    own = estimate_body(load_estimator(), networks_copy(view), BodyModel.shared(), average=False)[0]
    torch.testing.assert_close(alone.body.body_pose, own.body_pose, atol=1e-3, rtol=0)
    together = run_stage(view, record, weights=weights)
    assert "left_heel" in together.keypoints  # the landmarks' own

    def error(found) -> float:
        return mpjpe_mm(model(found).joints, model(first_of(body)).joints)

    assert error(together.body) < 0.7 * error(alone.body)


def first_of(body: Body) -> Body:
    return dataclasses.replace(body, **{name: value[0] for name, value in vars(body).items()})


def test_landmarks_that_miss_the_mask_are_doubted(model, person):
    body, view, _ = person
    true = first_of(body)
    bent = dataclasses.replace(
        true, body_pose=true.body_pose + 0.9 * torch.sin(torch.arange(63.0)).reshape(21, 3)
    )
    faces = model.skin_faces.numpy().astype(np.int32)
    mask = body_masks(model(true).vertices, faces, view.camera[None])[0]
    view = View(view.image, mask, view.camera)
    assert better_covered(model, bent, true, view)
    assert not better_covered(model, true, bent, view) and not better_covered(model, true, true, view)


def test_the_picture_s_say_and_the_fit_are_settings(shipped, person):
    _, view, record = person
    plain, unfitted = (
        run_stage(view, record, merge=MergeConfig(strength=0)),
        run_stage(view, record, merge=MergeConfig(strength=0), fit_keypoints=False),
    )
    assert not torch.allclose(plain.body.body_pose, unfitted.body.body_pose)
    assert Estimate(Estimate.Config()).weights() == ("estimator", "lifter", "body")
    assert Estimate(Estimate.Config(provider="embedded")).weights() == ("estimator", "body")
