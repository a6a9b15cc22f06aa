"""A film shows what posing one frame at a time shows, from cameras that see everybody."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import toy_avatar

from turnaround.models.animation.cameras import VIEWS, film_cameras
from turnaround.models.animation.film import Actor, composed, frames, larger, side_by_side
from turnaround.models.animation.ground import REACH, ground_picture, shadows
from turnaround.models.animation.skinner import Skinner
from turnaround.models.motion.builtin import builtin
from turnaround.models.splat.rasterize import rasterize
from turnaround.pipeline.values.camera import orbit_cameras, project, rays
from turnaround.pipeline.values.types import Camera


def _skinner(name: str = "dance", count: int = 5) -> Skinner:
    return Skinner(toy_avatar.avatar(8), builtin(name, fps=10).body[:count])


def _filmed(actors: list[Actor], view: str = "front", size: int = 96, wide: bool = False) -> Camera:
    count = len(actors[0].skinner)
    points = torch.stack([torch.cat([actor.extent(k) for actor in actors]) for k in range(count)])
    path = torch.stack([actor.joints(k)[0] for actor in actors for k in range(count)][:count])
    return film_cameras(points, path, size, 10.0, view, wide=wide)  # type: ignore[arg-type]


def test_frames_are_skinned_as_avatars_are_posed():
    avatar, motion = toy_avatar.avatar(8), builtin("squat", fps=5)
    avatar = replace(avatar, rig=replace(avatar.rig, about=avatar.rig.gaussians.bones[-50:]))
    skinner = Skinner(avatar, motion.body)
    for k in (0, 3, len(motion) - 1):
        one, slow = skinner.gaussians(k), avatar.posed_gaussians(motion.body[k])
        torch.testing.assert_close(one.means, slow.means, atol=1e-6, rtol=0)
        torch.testing.assert_close(one.quats, slow.quats, atol=1e-6, rtol=0)
        torch.testing.assert_close(one.opacities, slow.opacities, atol=1e-4, rtol=0)


def test_a_face_moves_with_its_expression_and_nothing_else_does():
    avatar, body = toy_avatar.avatar(1), builtin("t_pose").body
    smiling = replace(body, expression=torch.full((1, 10), 2.0))
    still, moved = (Skinner(avatar, each).gaussians(0).means for each in (body, smiling))
    way = (moved - still).norm(dim=1)
    assert way.max() > 0.004  # metres
    neck = float(Skinner(avatar, body).joints[0, 12, 1])
    assert way[still[:, 1] > neck + 0.05].max() < 1e-5


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["walk_forward", "dance"])
def test_every_camera_sees_all_of_every_frame(view, name):
    actor = Actor(Skinner(toy_avatar.avatar(8), builtin(name, fps=10).body))
    cameras = _filmed([actor], view)
    for k in range(len(cameras.K)):
        seen, depth = project(actor.gaussians(k).means, cameras[k])
        assert depth.min() > 1
        assert seen.min() > 0 and seen.max() < 96


def test_a_camera_that_follows_keeps_a_walker_where_they_are():
    actor = Actor(Skinner(toy_avatar.avatar(8), builtin("walk_forward", fps=10).body))
    follow, front = _filmed([actor], "follow"), _filmed([actor], "front")
    pelvis = [project(actor.joints(k)[:1], follow[k])[0][0, 0].item() for k in range(len(follow.K))]
    assert max(pelvis) - min(pelvis) < 0.08 * 96
    sizes = []
    for cameras in (follow, front):
        tall = [np.ptp(project(actor.extent(k), cameras[k])[0][:, 1].numpy()) for k in (0, len(pelvis) - 1)]
        sizes.append(tall[1] / tall[0])
    assert abs(sizes[0] - 1) < 0.05 < sizes[1] - 1  # who walks towards a camera that stands grows


def test_an_orbit_goes_once_around_a_long_film():
    points = torch.rand(90, 20, 3)
    cameras = film_cameras(points, points[:, 0], 64, 10.0, "orbit")
    forward = cameras.T_camera_world[:, 2, :3]
    level = torch.atan2(-forward[:, 0], forward[:, 2])
    steps = torch.remainder(level.diff() + torch.pi, 2 * torch.pi) - torch.pi
    torch.testing.assert_close(steps.abs(), torch.full_like(steps, 2 * torch.pi / 90), atol=1e-4, rtol=0)


def test_persons_side_by_side_do_not_meet_and_fit_a_wider_picture():
    actors = side_by_side([Actor(_skinner("wave")), Actor(_skinner("dance"), 1.1), Actor(_skinner("idle"))])
    spans = [torch.stack([actor.extent(k)[:, 0] for k in range(5)]).aminmax() for actor in actors]
    assert all(a.max < b.min for a, b in pairwise(spans))
    assert abs(float(spans[0].min + spans[-1].max)) < 0.01  # metres: about the middle
    assert _filmed(actors, wide=True).width > 96


def test_a_frame_is_the_rendering_over_the_background():
    actor, grey = Actor(_skinner()), (0.5, 0.5, 0.5)
    cameras = _filmed([actor])
    shown = list(frames([actor], cameras, grey, ground=False))
    assert len(shown) == 5 and shown[0].shape == (96, 96, 3)
    with torch.no_grad():
        large = rasterize(actor.gaussians(2), larger(cameras[2], 2), background=0.5, outputs=("rgb", "alpha"))
    slow = large.rgb[0].reshape(96, 2, 96, 2, 3).mean((1, 3)).clamp(0, 1) * 255
    assert np.abs(shown[2] - slow.numpy()).max() <= 1  # a step of 8 bits, by rounding


def test_composing_is_the_mean_put_over_what_is_behind():
    generator = torch.Generator().manual_seed(0)
    alpha = torch.rand(6, 9, generator=generator)
    rgb = torch.rand(6, 9, 3, generator=generator) * alpha[..., None]
    behind = torch.rand(2, 3, 3, generator=generator)
    mean = rgb.reshape(2, 3, 3, 3, 3).mean((1, 3))
    through = 1 - alpha.reshape(2, 3, 3, 3).mean((1, 3))
    slow = (mean + through[..., None] * behind).clamp(0, 1) * 255
    assert np.abs(composed(rgb, alpha, behind.numpy(), 3) - slow.numpy()).max() <= 0.51


def test_the_ground_is_dark_below_feet_and_light_elsewhere():
    camera = orbit_cameras([20.0], 192, elevation=20.0)[0]
    dark = np.array([[0.0, 0.0, 0.2, 0.5]])
    picture = ground_picture(camera, dark, (1.0, 0.8, 0.6))
    ray = rays(camera)
    eye = -(camera.T_camera_world[:3, :3].T @ camera.T_camera_world[:3, 3])
    far = -eye[1] / ray[..., 1]
    point = eye + far[..., None] * ray
    square = (point[..., 0] ** 2 + point[..., 2] ** 2) / 0.2**2
    slow = 1 - 0.5 * (1 - square / REACH).clamp(min=0) ** 4
    assert (slow - (1 - 0.5 * torch.exp(-0.5 * square))).abs().max() < 0.06  # a Gaussian, but for its end
    slow = torch.where(far > 0, slow, torch.ones(()))
    assert np.abs(picture[..., 0] - slow.numpy()).max() < 0.03  # not every pixel is computed
    np.testing.assert_allclose(picture[..., 1], 0.8 * picture[..., 0], rtol=1e-5)


def test_shadows_are_darkest_where_a_person_touches_the_ground():
    joints = Skinner(toy_avatar.avatar(8), builtin("idle", fps=5).body[:1]).joints[0]
    near, high = shadows(joints), shadows(joints - torch.tensor([0.0, 1.0, 0.0]))
    assert near[:4, 3].min() > 4 * near[4:, 3].max()  # feet and ankles before knees
    assert len(near) > 4 and len(high) == 0
