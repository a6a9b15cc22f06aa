"""Laws of the metrics: known values, invariances, agreement with scikit-image."""

import math

import numpy as np
import pytest
import torch
import trimesh
from skimage.metrics import structural_similarity

from turnaround.models.back_view.losses import ssim_map
from turnaround.models.hgm.training.losses import box_ssim
from turnaround.models.metrics import body, image, mesh
from turnaround.pipeline.values.rotation import axis_angle_to_matrix

generator = torch.Generator().manual_seed(0)
A, B = torch.rand(2, 40, 48, 3, generator=generator), torch.rand(2, 40, 48, 3, generator=generator)
STORED = ((0.884300232, 1.67521691), (0.884805977, 1.67617548), (0.881172419, 1.73523307))  # of the old code


def test_psnr_of_a_known_error():
    assert torch.allclose(image.psnr(A * 0 + 0.5, A * 0 + 0.6), torch.full((2,), 20.0), atol=1e-4)
    region = torch.zeros(2, 40, 48)
    region[:, :10] = 1
    changed = A.clone()
    changed[:, 10:] = 0  # outside the region
    assert (image.psnr_inside(changed, A, region) > 90).all()


def test_pooled_psnr_weighs_errors_not_decibels():
    truth = torch.zeros(2, 8, 8, 3)
    wrong = torch.stack([truth[0] + 0.1, truth[1]])  # 20 dB and perfect
    assert image.psnr_pooled(wrong[:1], truth[:1]) == pytest.approx(20, abs=1e-3)
    assert image.psnr_pooled(wrong, truth) == pytest.approx(20 + 10 * math.log10(2), abs=1e-3)


def test_ssim_agrees_with_scikit_image_and_is_one_for_the_same_picture():
    mixed = 0.6 * A + 0.4 * B
    for i in range(2):
        expected = structural_similarity(
            mixed[i].numpy(),
            A[i].numpy(),
            channel_axis=2,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            win_size=11,
            use_sample_covariance=False,
            full=True,
        )[1][5:-5, 5:-5].mean()
        assert image.ssim(mixed, A)[i].item() == pytest.approx(expected, abs=1e-5)
    assert torch.allclose(image.ssim(A, A), torch.ones(2))
    assert torch.allclose(image.ssim(A, B), image.ssim(B, A))


def test_multi_scale_ssim_orders_blur_and_refuses_small_pictures():
    big = torch.rand(1, 192, 192, 3, generator=generator)
    noisy = (big + 0.1 * torch.randn(big.shape, generator=generator)).clamp(0, 1)
    worse = (big + 0.3 * torch.randn(big.shape, generator=generator)).clamp(0, 1)
    assert image.ms_ssim(big, big).item() == pytest.approx(1, abs=1e-5)
    assert image.ms_ssim(big, noisy) > image.ms_ssim(big, worse)
    with pytest.raises(ValueError, match="176"):
        image.ms_ssim(A, A)


def test_iou_and_sharpness():
    left, all_ = torch.zeros(1, 8, 8), torch.ones(1, 8, 8)
    left[:, :, :4] = 1
    assert image.iou(left, all_).item() == pytest.approx(0.5) and image.iou(0 * left, 0 * left).item() == 1
    soft = torch.full((1, 8, 8), 0.5)
    assert image.iou(soft, all_).item() == 0 and image.iou(soft, all_, half_counts=True).item() == 1
    pair = torch.stack([left[0], 0 * left[0]])
    torch.testing.assert_close(image.iou(pair, pair, half_counts=True), torch.ones(2))
    blurred = torch.nn.functional.avg_pool2d(A.permute(0, 3, 1, 2), 3, 1, 1).permute(0, 2, 3, 1)
    assert (image.sharpness(A, torch.ones(2, 40, 48)) > image.sharpness(blurred, torch.ones(2, 40, 48))).all()


def test_joint_errors_are_invariant_to_what_they_align():
    joints = torch.randn(55, 3, generator=generator)
    shifted = joints + torch.tensor([0.1, 0, 0])
    assert body.mpjpe_mm(shifted, joints) == pytest.approx(0, abs=1e-3)
    assert (
        body.pelvis_mm(shifted, joints) == pytest.approx(100, abs=1e-3) == body.absolute_mm(shifted, joints)
    )
    bent = joints.clone()
    bent[5] += torch.tensor([0.0, 0.044, 0.0])  # one joint of 22, by 44 mm
    errors = body.joint_errors_mm(bent, joints)
    assert errors[5].item() == pytest.approx(44, abs=1e-3) and errors.sum().item() == pytest.approx(
        44, abs=1e-3
    )
    assert body.mpjpe_mm(bent, joints) == pytest.approx(2, abs=1e-3)
    R = axis_angle_to_matrix(torch.tensor([0.3, 1.0, -0.4]))
    similar = 1.3 * joints @ R.T + torch.tensor([1.0, 2, 3])
    assert body.pa_mpjpe_mm(similar, joints) == pytest.approx(0, abs=1e-2)
    assert body.mpjpe_mm(similar, joints) > 100
    mirrored = joints * torch.tensor([-1.0, 1, 1])
    assert body.pa_mpjpe_mm(mirrored, joints) > 100  # a mirror image is not a similarity


def sphere(radius, subdivisions=4):
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return mesh.sample_surface(np.asarray(ball.vertices), np.asarray(ball.faces), count=20_000)


def test_concentric_spheres_have_the_distance_of_their_radii():
    values = mesh.compare(sphere(0.30), sphere(0.32))
    assert values["chamfer_cm"] == pytest.approx(2.0, abs=0.05) and values["p2s_cm"] == pytest.approx(
        2.0, abs=0.05
    )
    assert values["normal_consistency"] > 0.99 and values["fscore_1cm"] == 0
    assert mesh.compare(sphere(0.3), sphere(0.3))["fscore_1cm"] > 0.99


def test_icp_undoes_a_small_motion_and_similarity_undoes_scale():
    box = trimesh.creation.box((0.3, 0.5, 0.2))
    truth = mesh.sample_surface(np.asarray(box.vertices), np.asarray(box.faces), count=20_000)
    R = axis_angle_to_matrix(torch.tensor([0.05, -0.08, 0.04])).double().numpy()
    moved = truth.moved(1.0, R, np.array([0.01, -0.015, 0.01]))
    assert mesh.compare(moved, truth)["chamfer_cm"] > 0.8
    assert mesh.compare(mesh.icp(moved, truth, with_scale=False), truth)["chamfer_cm"] < 0.25
    grown = truth.moved(1.1, np.eye(3), np.zeros(3))
    rows = mesh.evaluate_mesh(grown, truth)
    assert rows["similarity"]["chamfer_cm"] < 0.5 * rows["rigid"]["chamfer_cm"]


def test_icp_of_a_moved_copy_finds_the_motion_however_many_points_it_matches():
    truth = sphere(0.3)
    bumpy = truth.moved(1.0, np.eye(3), np.zeros(3))
    bumpy.points[:, 0] *= 1.4  # an ellipsoid, so that the rotation is seen
    R = axis_angle_to_matrix(torch.tensor([0.0, 0.06, 0.03])).double().numpy()
    moved = bumpy.moved(1.0, R, np.array([0.01, 0, -0.01]))
    for count in (2000, 20_000):
        back = mesh.icp(moved, bumpy, with_scale=True, iterations=60, count=count)
        assert np.abs(back.points - bumpy.points).max() < 0.01


def test_sampling_is_even_by_area_and_refuses_a_degenerate_mesh():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [8, 0, 0], [5, 1, 0.0]])
    surface = mesh.sample_surface(vertices, np.array([[0, 1, 2], [3, 4, 5]]), count=8000)
    assert (surface.points[:, 0] > 4).mean() == pytest.approx(0.75, abs=0.01)
    with pytest.raises(ValueError, match="without area"):
        mesh.sample_surface(np.zeros((3, 3)), np.array([[0, 1, 2]]))


def test_lpips_is_none_or_a_distance():
    value = image.lpips(A, B)
    assert value is None or (value > 0).all()
    assert image.mean_or_none([None, 1.0, math.nan, 3.0]) == 2.0 and image.mean_or_none([None]) is None


def test_ssim_of_each_window_is_what_its_own_code_found():
    """Values and sums of absolute gradients of the three implementations that are one now."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((2, 3, 24, 20), np.float32))
    y = (0.7 * x + 0.3 * torch.from_numpy(rng.random((2, 3, 24, 20), np.float32))).requires_grad_()
    metric = image.ssim(y.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1)).mean()
    for value, (expected, steep) in zip((metric, box_ssim(y, x), ssim_map(y, x).mean()), STORED, strict=True):
        (gradient,) = torch.autograd.grad(value, y)
        assert value.item() == pytest.approx(expected, rel=1e-6)
        assert gradient.abs().sum().item() == pytest.approx(steep, rel=1e-5)
