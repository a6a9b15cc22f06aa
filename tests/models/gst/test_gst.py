"""GST's points are the body's own skin; pictures reach the pose; Gaussians are finite, placed, and alike for
a given body."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from toy_landmarks import random_body, rotations_of

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import PARENTS
from turnaround.models.estimator.predict import body_of
from turnaround.models.gst.anchors import Anchors, all_rotations
from turnaround.models.gst.config import ConvolutionalSize, GSTConfig, Ranks
from turnaround.models.gst.gaussians import copied
from turnaround.models.gst.heads import GroupHead
from turnaround.models.gst.landmark_tokens import CHANNELS, COUNT
from turnaround.models.gst.model import GST
from turnaround.models.gst.person import gst_gaussians, seen_by
from turnaround.models.gst.placing import reach_of, shift_of
from turnaround.models.gst.weights import begin, read_gst, save_gst
from turnaround.models.person_model import gaussian_model, is_gst
from turnaround.models.splat import dense, rasterize
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import DISTANCE, canonical_camera, orbit_cameras, project
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body, Camera, Gaussians, View

TINY = GSTConfig.of("tiny")


@pytest.fixture(scope="module")
def body_model():
    return BodyModel.shared()


@pytest.fixture(scope="module")
def anchors(body_model):
    return Anchors(body_model, 0, 26)


@pytest.fixture
def model(body_model):
    torch.manual_seed(0)
    return GST(body_model, TINY).eval()


def hands_of(body: Body) -> torch.Tensor:
    return torch.stack([body.left_hand_pose[0], body.right_hand_pose[0]])


def posed_by(anchors: Anchors, body: Body):
    pelvis = anchors.joints[0] + body.betas @ anchors.joint_directions[0].T + body.transl
    return anchors(rotations_of(body), body.betas, pelvis, hands_of(body))


def random_window() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(1, 4, 128, 128), torch.tensor([[0.05, -0.1, 0.7]])


def front(size: int = 96) -> View:
    image = torch.ones(size, size, 3)
    mask = torch.zeros(size, size)
    mask[size // 8 : -size // 8, size // 3 : -size // 3] = 1
    image[mask > 0] = torch.tensor([0.2, 0.4, 0.8])
    return View(image, mask, canonical_camera(size))


def test_points_on_vertices_are_the_body_models_own(anchors, body_model):
    body = random_body(2, seed=4)
    rest = {"left_hand_pose": (2, 15, 3), "right_hand_pose": (2, 15, 3), "expression": (2, 10)}
    rest |= {name: (2, 3) for name in ("jaw_pose", "leye_pose", "reye_pose")}
    body = dataclasses.replace(body, **{name: torch.zeros(shape) for name, shape in rest.items()})
    posed = posed_by(anchors, body)
    found = posed.points.sort(1).values  # in another order
    torch.testing.assert_close(found, body_model(body).vertices.sort(1).values, atol=2e-5, rtol=0)


def test_fingers_turn_with_the_wrist_as_the_slow_chain_says():
    torch.manual_seed(1)
    hands = 0.5 * torch.randn(2, 15, 3)
    rotations = rotations_of(random_body(1, seed=2))
    found = all_rotations(rotations, hands)[0]
    local = axis_angle_to_matrix(hands)
    for side in range(2):
        for k in range(15):
            joint = 25 + 15 * side + k
            torch.testing.assert_close(
                found[joint], found[PARENTS[joint]] @ local[side, k], atol=1e-6, rtol=0
            )
    assert all(torch.equal(found[joint], found[15]) for joint in (22, 23, 24))


def test_frames_are_rotations_and_look_outwards(anchors):
    posed = posed_by(anchors, random_body(1, seed=3))
    frames = posed.frames[0]
    torch.testing.assert_close(frames @ frames.mT, torch.eye(3).expand_as(frames), atol=1e-5, rtol=0)
    assert torch.linalg.det(frames).min() > 0.99
    # the highest point of the head looks up, whatever the pose of the rest
    top = anchors.rest[:, 1].argmax()
    assert anchors.normals[top, 1] > 0.9


def test_groups_are_neighbours(body_model):
    few = Anchors(body_model, 1300, 26)
    spread = [few.rest[k : k + few.size].std(0).norm() for k in range(0, len(few), few.size)]
    assert torch.stack(spread).mean() < 0.35 * few.rest.std(0).norm()
    pairs = few.rest[few.mirror] * torch.tensor([-1.0, 1, 1])
    assert (pairs - few.rest).norm(dim=-1).median() < 0.02


def test_a_head_of_low_rank_is_the_product_of_its_matrices():
    torch.manual_seed(0)
    head = GroupHead(12, 3, 5, 2, 4, 1.0)
    tokens = torch.randn(2, 3, 12)
    squeezed = tokens @ head.squeeze.weight.T
    for group in range(3):
        expected = squeezed[:, group] @ head.weight[group] + head.bias[group]
        torch.testing.assert_close(head(tokens)[:, 5 * group : 5 * group + 5].flatten(1), expected)


def test_before_training_the_body_is_the_estimators(model):
    pixels, window = random_window()
    with torch.no_grad():
        found, alone = model(pixels, window).body, model.network(pixels, window)
    torch.testing.assert_close(found.joints, alone.joints, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.rotations, alone.rotations, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"colors": "free", "frame": "camera", "landmarks": False},  # the paper's
        {"opacity": "one"},
        {"each": 2},
        {"ranks": Ranks(color=0, turn=0, opacity=0, scale=0, offset=0), "shared": True},
    ],
)
def test_every_choice_makes_gaussians_near_the_skin(body_model, changes):
    torch.manual_seed(0)
    model = GST(body_model, TINY.but(**changes)).eval()
    pixels, window = random_window()
    with torch.no_grad():
        out = model(pixels, window)
    (person,) = out.people
    assert len(person) == 600 * changes.get("each", 1) == out.offsets.shape[1]
    assert all(torch.isfinite(value).all() for value in vars(person).values())
    assert out.offsets.norm(dim=-1).max() < 0.3 and person.scales.max() < 0.4
    assert (person.opacities == 1).all() if changes.get("opacity") == "one" else (person.opacities < 1).all()
    torch.testing.assert_close(person.quats.norm(dim=-1), torch.ones(len(person)), atol=1e-4, rtol=0)


def turned_arm_picture(anchors: Anchors, draw, angle: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """A weighed sum of the alphas of a body whose left arm turns by `angle`, with a first beta."""
    size, count = 24, len(anchors)
    still = rotations_of(Body.neutral(1))[0].to(angle.dtype)
    turn = axis_angle_to_matrix(torch.stack([0 * angle, 0 * angle, angle]))
    arm = [16, 18, 20]  # shoulder, elbow and wrist turn about the shoulder
    turned = torch.stack([turn @ r if j in arm else r for j, r in enumerate(still)])
    betas = torch.cat([beta[None], beta.new_zeros(9)])[None]
    posed = anchors(turned[None], betas, beta.new_tensor([[0.0, -0.2, 0.0]]), beta.new_zeros(2, 15, 3))
    gaussians = Gaussians(
        posed.points[0], beta.new_tensor([[1.0, 0, 0, 0]]).repeat(count, 1), beta.new_full((count, 3), 0.05),
        beta.new_full((count,), 0.4), beta.new_full((count, 3), 0.3),
    )  # fmt: skip
    cameras = orbit_cameras([0.0, 60.0], size)
    if beta.dtype == torch.float64:
        cameras = dataclasses.replace(
            cameras, K=cameras.K.double(), T_camera_world=cameras.T_camera_world.double()
        )
    ramp = torch.linspace(0, 1, size)[:, None] + torch.linspace(0, 2, size)[None]
    return (draw(gaussians, cameras) * ramp).sum()


def gradients_of(anchors: Anchors, draw, at: tuple[float, float], dtype: torch.dtype) -> torch.Tensor:
    values = [torch.tensor(value, dtype=dtype, requires_grad=True) for value in at]
    return torch.stack(torch.autograd.grad(turned_arm_picture(anchors, draw, *values), values))


def test_the_pictures_gradient_of_the_pose_is_that_of_finite_differences(body_model, monkeypatch):
    """From pixels through splats and skinning to a turn of the left arm, and to the shape."""
    anchors = Anchors(body_model, 300, 5)
    fast = lambda g, cameras: rasterize(g, cameras, outputs=("rgb", "alpha")).alpha  # noqa: E731
    slow = lambda g, cameras: dense.render(g, cameras, False)[1]  # noqa: E731
    at = (0.2, 0.3)
    found, twin = (gradients_of(anchors, draw, at, torch.float32) for draw in (fast, slow))
    torch.testing.assert_close(found, twin, rtol=2e-3, atol=1e-3)
    # what a Gaussian loses at its cut-off is no part of the gradient, and is of the differences
    monkeypatch.setattr(dense, "ALPHA_MIN", 0.0)
    monkeypatch.setattr(dense, "T_MIN", 0.0)
    anchors = anchors.double()
    exact = gradients_of(anchors, slow, at, torch.float64)
    step = 1e-5
    for number in range(2):
        moves = [[value + sign * step * (k == number) for k, value in enumerate(at)] for sign in (1, -1)]
        with torch.no_grad():
            high, low = (
                turned_arm_picture(anchors, slow, *torch.tensor(m, dtype=torch.float64)) for m in moves
            )
        assert exact[number].item() == pytest.approx(((high - low) / (2 * step)).item(), rel=1e-3)


def test_pictures_teach_the_decoder_and_leave_a_frozen_encoder(model):
    model.network.freeze_encoder()
    model.train()
    pixels, window = random_window()
    out = model(pixels, window)
    drawn = rasterize(out.people[0], canonical_camera(48), outputs=("rgb", "alpha"))
    (drawn.rgb.square().mean() + out.offsets.square().mean()).backward()
    assert model.tokens.grad is not None and model.network.pose_head.grad.abs().max() > 0
    assert all(p.grad is None for part in model.network.encoder().values() for p in part.parameters())
    assert not model.network.stem.training and model.network.decoder.training


def test_a_copied_colour_is_the_pixels_where_it_is_seen_only(body_model):
    anchors = Anchors(body_model, 900, 5)
    body = Body.neutral(1)
    posed = posed_by(anchors, body)
    # a red figure over white, drawn where the points are
    window = torch.tensor([[0.0, 0.0, 1.0]])
    pixels = torch.zeros(1, 4, 128, 128)
    pixels[:, 0], pixels[:, 3] = 0.9, 1.0
    colors, seen = copied(posed, pixels, window)
    facing = posed.frames[0, :, 2, 2] < -0.4  # towards the camera, which looks along +z
    assert seen[0][posed.frames[0, :, 2, 2] > 0.6].max() == 0  # the back
    assert seen[0][facing].mean() > 0.7
    torch.testing.assert_close(colors[0][seen[0] > 0], torch.tensor([0.9, 0, 0]).expand(int(seen.sum()), 3))


def test_a_far_camera_with_a_long_lens_sees_the_same_place():
    """The pelvis keeps its pixel, the body its size: only the way to it is longer."""
    K = torch.tensor([[300.0, 0, 50], [0, 300, 50], [0, 0, 1]])
    far = Camera(K, torch.eye(4), 100, 100)
    reach = reach_of(far)
    assert reach.item() == pytest.approx(300 / 80)
    pelvis = torch.tensor([0.1, -0.2, 0.3])
    moved = pelvis + shift_of(pelvis, reach)
    near, _ = project(pelvis[None], canonical_camera(100))
    there, depth = project(moved[None], far)
    torch.testing.assert_close(near, there, atol=1e-4, rtol=0)
    assert depth.item() == pytest.approx(reach.item() * (0.3 + DISTANCE))


def test_gaussians_on_the_networks_own_body_are_those_of_the_pass(model, body_model):
    view = front()
    body, keypoints = body_of(seen_by(model, view, None), view, body_model, fit_keypoints=False)
    assert set(keypoints) >= {"pelvis", "head"}
    own, given = gst_gaussians(model, view, None), gst_gaussians(model, view, body)
    torch.testing.assert_close(own.means, given.means, atol=2e-4, rtol=0)
    torch.testing.assert_close(own.colors, given.colors, atol=0.02, rtol=0)


def test_landmarks_change_the_body_and_absent_ones_do_not(model):
    pixels, window = random_window()
    absent = torch.zeros(1, COUNT, CHANNELS)
    known = torch.rand(1, COUNT, CHANNELS)
    unsure = torch.cat([known[..., :-1], absent[..., -1:]], -1)
    torch.nn.init.normal_(model.network.pose_head, std=0.1)  # an untrained head says nothing
    with torch.no_grad():
        bodies = [model(pixels, window, x, gaussians=False).body.joints for x in (absent, unsure, known)]
    assert torch.equal(bodies[0], bodies[1]) and not torch.equal(bodies[0], bodies[2])


def test_weights_come_back_and_say_what_they_are(model, tmp_path, body_model):
    file = save_gst(model, tmp_path / "gst.safetensors", steps="3")
    again = read_gst(file)
    assert again.config == model.config and is_gst(str(file)) and not is_gst("hgm_coarse")
    view = front()
    body = body_of(seen_by(model, view, None), view, body_model)[0]
    made = gaussian_model(str(file), "body", "cpu")([view], body)
    torch.testing.assert_close(made.means, gst_gaussians(again.eval(), view, body).means)
    with pytest.raises(CallError, match="embedded body"):
        gaussian_model(str(file), "SMPLX_NEUTRAL.npz", "cpu")


def test_another_networks_weight_is_refused(model):
    with pytest.raises(CallError, match="weight of another network"):
        read_gst("estimator")
    with pytest.raises(CallError, match="does not fit"):
        begin(model, "estimator")


def test_sizes_are_named():
    assert GSTConfig.of("paper").points == 0 and GSTConfig.of("default").network == ConvolutionalSize()
    with pytest.raises(CallError, match="expected one of"):
        GSTConfig.of("huge")


def test_a_hidden_point_is_not_copied(body_model):
    """The nearer of two points on one ray hides the other."""
    anchors = Anchors(body_model, 400, 4)
    posed = posed_by(anchors, Body.neutral(1))
    nearest = posed.points[0, :, 2].argmin()
    twin = posed.points.clone()
    other = (nearest + 1) % len(anchors)
    direction = twin[0, nearest] + torch.tensor([0, 0, DISTANCE])
    twin[0, other] = twin[0, nearest] + 0.3 * direction  # behind it, on its ray
    frames = posed.frames.clone()
    frames[0, other] = frames[0, nearest]
    moved = dataclasses.replace(posed, points=twin, frames=frames)
    _, seen = copied(moved, torch.ones(1, 4, 128, 128), torch.tensor([[0.0, 0.0, 1.2]]))
    assert seen[0, other] == 0
    assert np.isfinite(seen.numpy()).all()


def test_the_body_alone_is_that_of_the_whole_pass(body_model):
    torch.manual_seed(5)
    model = GST(body_model, GSTConfig.of("tiny")).eval()
    pixels, window = torch.rand(2, 4, 128, 128), torch.tensor([[0.1, 0.0, 0.6]]).expand(2, 3)
    landmarks = torch.rand(2, 33, 7)
    with torch.no_grad():
        alone, whole = model.body(pixels, window, landmarks), model(pixels, window, landmarks).body
    assert torch.equal(alone.rotations, model(pixels, window, landmarks, gaussians=False).body.rotations)
    torch.testing.assert_close(alone.rotations, whole.rotations)
    torch.testing.assert_close(alone.joints, whole.joints)
