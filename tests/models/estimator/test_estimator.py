"""The estimator: kinematics against the body model, labels under mirror and turn, windows, the fit to
keypoints."""

import dataclasses

import pytest
import torch

from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.crop import (
    cut,
    cut_white,
    from_window,
    lift,
    log_depth_of,
    mask_window,
    project_plane,
    rotation_2d,
    to_window,
)
from turnaround.models.estimator.dataset import Labels, flip_labels, turn_labels
from turnaround.models.estimator.kinematics import (
    KEYPOINTS,
    Skeleton,
    mirror_keypoints,
    mirror_rotations,
    to_global,
    to_local,
)
from turnaround.models.estimator.model import BodyEstimator, EstimatorConfig, Prediction, heatmap_target
from turnaround.models.estimator.polish import _below, _jacobian, likely_depth, polish, turn_chain
from turnaround.models.estimator.predict import to_body, transfer_shape
from turnaround.models.landmarks.record import absent
from turnaround.pipeline.values.camera import canonical_camera, project
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body, View


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def skeleton(model) -> Skeleton:
    return Skeleton(model.joint_template, model.joint_shapedirs)


def random_body(batch: int, seed: int = 0, amount: float = 0.4) -> Body:
    g = torch.Generator().manual_seed(seed)
    body = Body.neutral(batch)
    return dataclasses.replace(
        body,
        betas=torch.randn(batch, 10, generator=g),
        global_orient=body.global_orient + 0.3 * torch.randn(batch, 3, generator=g),
        body_pose=amount * torch.randn(batch, 21, 3, generator=g),
        transl=0.1 * torch.randn(batch, 3, generator=g),
    )


def rotations_of(body: Body) -> torch.Tensor:
    return to_global(axis_angle_to_matrix(torch.cat([body.global_orient[:, None], body.body_pose], 1)))


def labels_of(body: Body, model: BodyModel) -> Labels:
    joints = model(body).joints[:, list(KEYPOINTS)]
    return Labels(
        rotations_of(body), body.betas, joints, project_plane(joints), torch.rand(joints.shape[:2]) < 0.5
    )


def test_skeleton_agrees_with_the_skinned_body(model, skeleton):
    body = random_body(3)
    joints = model(body).joints[:, list(KEYPOINTS)]
    torch.testing.assert_close(
        skeleton(rotations_of(body), body.betas), joints - joints[:, :1], atol=1e-5, rtol=0
    )


def test_derivative_by_betas(skeleton):
    rotations, betas = rotations_of(random_body(1)), torch.randn(1, 10)
    expected = torch.autograd.functional.jacobian(lambda b: skeleton(rotations, b[None])[0], betas[0])
    torch.testing.assert_close(skeleton.by_betas(rotations)[0], expected, atol=1e-5, rtol=1e-4)


def test_local_and_global_rotations_are_inverse():
    rotations = rotations_of(random_body(4))
    torch.testing.assert_close(to_global(to_local(rotations)), rotations, atol=1e-5, rtol=0)


def test_mirroring_twice_changes_nothing_and_mirrors_joints(skeleton):
    rotations, betas = rotations_of(random_body(4)), torch.zeros(4, 10)
    torch.testing.assert_close(mirror_rotations(mirror_rotations(rotations)), rotations)
    torch.testing.assert_close(
        to_local(mirror_rotations(rotations)), mirror_rotations(to_local(rotations)), atol=1e-5, rtol=0
    )
    mirrored = skeleton(mirror_rotations(rotations), betas)
    # the free body's joints are symmetric to better than two millimetres a bone
    assert (mirrored - mirror_keypoints(skeleton(rotations, betas))).norm(dim=-1).max() < 0.01


def test_flipped_labels_are_an_involution_where_asked(model):
    labels, flip = labels_of(random_body(6), model), torch.tensor([True, False] * 3)
    once = flip_labels(labels, flip)
    twice = flip_labels(once, flip)
    for name in vars(labels):
        assert torch.equal(getattr(twice, name), getattr(labels, name))
        assert torch.equal(getattr(once, name)[1], getattr(labels, name)[1])
    assert not torch.allclose(once.joints[0], labels.joints[0])


def test_turned_labels_turn_the_picture(model, skeleton):
    labels, angle = labels_of(random_body(3), model), torch.tensor([0.3, -0.2, 1.0])
    turned = turn_labels(labels, angle)
    expected = project_plane(labels.joints) @ rotation_2d(angle).transpose(-1, -2)
    torch.testing.assert_close(project_plane(turned.joints), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(turned.uv, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        skeleton(turned.rotations, turned.betas), turned.joints - turned.joints[:, :1], atol=1e-5, rtol=0
    )


def test_plane_coordinates_are_the_canonical_cameras():
    points = torch.randn(1, 5, 3) * 0.5
    pixels, _ = project(points[0], canonical_camera(100))
    torch.testing.assert_close((project_plane(points)[0] + 1) * 50, pixels, atol=1e-3, rtol=1e-5)


def test_windows_and_lifting_are_invertible():
    window = torch.tensor([[0.1, -0.2, 0.6], [0.0, 0.3, 0.9]])
    points = torch.randn(2, 4, 2)
    torch.testing.assert_close(from_window(to_window(points, window), window), points)
    world = torch.randn(2, 3) * 0.3
    uv = to_window(project_plane(world[:, None]), window)[:, 0]
    torch.testing.assert_close(lift(uv, log_depth_of(world, window), window), world, atol=1e-5, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_cut_shows_a_spot_where_the_window_says(angle):
    picture = torch.zeros(1, 1, 96, 96)
    row, column = 30, 61
    picture[0, 0, row, column] = 1
    turn, window = torch.tensor([angle]), torch.tensor([[0.2, -0.3, 0.7]])
    place = torch.tensor([[[(column + 0.5) / 48 - 1, (row + 0.5) / 48 - 1]]])
    expected = to_window(place @ rotation_2d(turn).transpose(-1, -2), window)[0, 0]
    found = cut(picture, window, 128, turn)[0, 0]
    where = found.flatten().argmax()
    assert abs((where % 128 + 0.5) / 64 - 1 - expected[0]) < 0.03
    assert abs((where // 128 + 0.5) / 64 - 1 - expected[1]) < 0.03


@pytest.mark.parametrize("size", [128, 16])  # 16: the picture is averaged down first
@pytest.mark.parametrize("angle", [None, 0.5])
def test_a_white_cut_is_that_of_the_picture_on_a_large_white_sheet(size, angle):
    picture = torch.rand(2, 4, 64, 64, generator=torch.Generator().manual_seed(3))
    sheet = torch.tensor([1.0, 1, 1, 0])[:, None, None].repeat(2, 1, 320, 320)
    sheet[..., 128:192, 128:192] = picture
    window = torch.tensor([[0.7, -0.3, 1.4], [-0.4, 0.8, 1.2]])
    turn = None if angle is None else torch.tensor([angle, -angle])
    found = cut_white(picture, window, size, turn)
    assert ((found[:, :3] == 1).all(1) & (found[:, 3] == 0)).flatten(1).any(1).all()
    # coordinates are rounded otherwise
    torch.testing.assert_close(found, cut(sheet, window / 5, size, turn), atol=1e-4, rtol=0)


def test_mask_window_holds_the_mask():
    mask = torch.zeros(2, 128, 128)
    mask[0, 20:100, 50:70] = 1
    x, y, half = mask_window(mask)[0].tolist()
    assert abs(x - (60 / 64 - 1)) < 0.04 and abs(y - (60 / 64 - 1)) < 0.04
    assert 40 / 64 < half < 1.3 * 40 / 64
    assert mask_window(mask)[1].tolist() == [0.0, 0.0, 1.0]


def test_heatmap_targets_have_their_mean_at_the_keypoint():
    from turnaround.models.estimator.model import cell_centres

    keypoints = torch.tensor([[[0.1, -0.4], [0.5, 0.5]]])
    target = heatmap_target(keypoints, (32, 32))
    torch.testing.assert_close(target @ cell_centres((32, 32), target.device), keypoints, atol=2e-3, rtol=0)


def prediction_from(body: Body, skeleton: Skeleton, window: torch.Tensor, model: BodyModel) -> Prediction:
    joints = model(body).joints[:, list(KEYPOINTS)]
    rotations = rotations_of(body)
    count = len(joints)
    return Prediction(
        rotations,
        body.betas,
        joints[:, 0],
        joints,
        to_window(project_plane(joints), window),
        torch.full(joints.shape[:2], 0.02),
        torch.zeros(count, len(KEYPOINTS), 4, 4),
    )


def test_polish_jacobian_is_exact(skeleton, model):
    window, body = torch.tensor([[0.0, 0.0, 0.8]]), random_body(1)
    found = prediction_from(body, skeleton, window, model)

    def residual(change: torch.Tensor) -> torch.Tensor:
        rotations = turn_chain(axis_angle_to_matrix(change[None, :66].reshape(1, 22, 3)), found.rotations)
        joints = skeleton(rotations, found.betas + change[66:76]) + found.pelvis[:, None] + change[76:]
        return to_window(project_plane(joints), window)[0]

    expected = torch.autograd.functional.jacobian(residual, torch.zeros(79))
    given = _jacobian(found.joints, _below(skeleton), skeleton.by_betas(found.rotations), window)[0]
    torch.testing.assert_close(given, expected, atol=1e-4, rtol=1e-3)


def test_polish_follows_the_keypoints(skeleton, model):
    window, body = torch.tensor([[0.0, 0.0, 0.8]]).expand(4, 3), random_body(4)
    body = dataclasses.replace(body, transl=body.transl - model(body).joints[:, 0] + body.transl)
    true = prediction_from(body, skeleton, window, model)
    change = 0.15 * torch.randn(4, 21, 3, generator=torch.Generator().manual_seed(1))
    wrong = prediction_from(
        dataclasses.replace(body, body_pose=body.body_pose + change), skeleton, window, model
    )
    start = dataclasses.replace(wrong, keypoints=true.keypoints)
    better = polish(skeleton, start, window)

    def distance(p: Prediction) -> float:
        return (to_window(project_plane(p.joints), window) - true.keypoints).norm(dim=-1).mean().item()

    assert distance(better) < 0.25 * distance(start)
    torch.testing.assert_close(
        better.joints - better.pelvis[:, None], skeleton(better.rotations, better.betas), atol=1e-5, rtol=0
    )


def test_likely_depth_keeps_the_ray_and_leaves_far_ones():
    pelvis = torch.tensor([[0.1, -0.05, 0.15], [0.0, 0.1, -1.4]])
    moved = likely_depth(pelvis)
    torch.testing.assert_close(
        project_plane(moved[:, None]), project_plane(pelvis[:, None]), atol=1e-5, rtol=1e-4
    )
    assert abs(moved[0, 2]) < 0.05 and abs(moved[1, 2] + 1.4) < 1e-3


def test_betas_of_the_same_body_transfer_to_themselves(skeleton):
    betas = torch.randn(10)
    moved = transfer_shape(skeleton, skeleton, betas, ridge=1e-5)
    torch.testing.assert_close(skeleton.rest(moved[None]), skeleton.rest(betas[None]), atol=1e-3, rtol=0)


def test_network_output_is_a_body_of_the_same_joints(model, skeleton):
    torch.manual_seed(0)
    network = BodyEstimator(
        skeleton,
        EstimatorConfig(channels=(8, 8, 16, 16), blocks=(1, 1, 1), width=24, layers=1, heads=2),
    ).eval()
    window = torch.tensor([[0.05, -0.1, 0.7]])
    found = network(torch.rand(1, 4, 128, 128), window)
    assert found.heatmaps.shape == (1, len(KEYPOINTS), 32, 32)
    body = to_body(network, found, model)
    joints = model(body).joints[list(KEYPOINTS)]
    torch.testing.assert_close(joints[:22], found.joints[0, :22].detach(), atol=2e-4, rtol=0)


def test_stage_makes_body_keypoints_and_overlay(model):
    from turnaround.stages.estimate import Estimate

    try:
        zoo.path("estimator")
    except zoo.MissingWeight:
        pytest.skip("the estimator's weights are not there")
    mask = torch.zeros(128, 128)
    mask[24:104, 48:80] = 1
    view = View(1 - 0.6 * mask[..., None].expand(-1, -1, 3), mask, canonical_camera(128))
    made = Estimate().run(device=torch.device("cpu"), view=view, landmarks=absent("a mask"), given=None)
    assert len(made.keypoints) == len(KEYPOINTS)
    assert made.overlay.shape == (128, 128, 3)
    assert project(model(made.body).joints[:1], view.camera)[0].sub(64).norm() < 40
