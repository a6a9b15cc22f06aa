"""Gaussians to mesh: a ball comes back as a closed ball; holes, smoothing, normals and colours obey their
laws."""

import numpy as np
import pytest
import torch
import trimesh

from turnaround.models.mesh.depth_filter import filter_depth
from turnaround.models.mesh.extraction import normal_targets
from turnaround.models.mesh.painting import paint
from turnaround.models.mesh.refine import NormalTargets, refine_to_normals
from turnaround.models.mesh.surface import Surface, boundary, describe, largest_component, smooth
from turnaround.models.mesh.tsdf import fuse_depth, render_depth_views, ring_cameras, solid
from turnaround.models.splat import rasterize
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.formats.normal_image import encode_normals
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import orbit_cameras, project
from turnaround.pipeline.values.types import Gaussians, View
from turnaround.stages.mesh import MeshConfig, MeshStage

RADIUS = 0.4


def ball_of_gaussians(radius=RADIUS, count=4000, scale=0.012):
    k = torch.arange(count) + 0.5  # a Fibonacci lattice
    up, turn = 1 - 2 * k / count, k * torch.pi * (1 + 5**0.5)
    side = (1 - up**2).sqrt()
    direction = torch.stack([side * turn.cos(), up, side * turn.sin()], -1)
    z = torch.tensor([0.0, 0, 1]).expand_as(direction)
    quats = torch.cat([1 + direction[:, 2:], torch.cross(z, direction, dim=-1)], -1)
    scales = torch.tensor([scale, scale, scale / 4]).expand(count, 3).contiguous()
    colors = direction * 0.5 + 0.5
    return Gaussians(
        direction * radius,
        torch.nn.functional.normalize(quats, dim=-1),
        scales,
        torch.full((count,), 0.9),
        colors,
    )


def ball_surface(radius=RADIUS, subdivisions=4):
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Surface(np.asarray(sphere.vertices).copy(), np.asarray(sphere.faces).copy())


@pytest.fixture(scope="module")
def views():
    return render_depth_views(ball_of_gaussians(), 128)


@pytest.fixture(scope="module")
def ball(views):
    return smooth(largest_component(fuse_depth(views, voxel=0.015)), 2)


def test_a_ball_of_gaussians_becomes_a_closed_ball_with_normals_outwards(ball):
    distance = np.linalg.norm(ball.vertices, axis=1)
    assert np.median(distance) == pytest.approx(RADIUS, abs=0.006) and np.abs(distance - RADIUS).max() < 0.025
    report = describe(ball)
    assert report["watertight"] and report["holes"] == 0 and report["components"] == 1
    # the volume of faces that look outwards is positive
    assert report["volume_litres"] == pytest.approx(4 / 3 * np.pi * RADIUS**3 * 1000, rel=0.06)


def test_the_ring_has_many_views_and_all_see_the_person():
    cameras = ring_cameras(64)
    assert len(cameras.K) >= 60
    pixels, depth = project(torch.tensor([[0.0, -0.95, 0], [0, 0.95, 0], [0.8, 0, 0]]), cameras)
    assert (depth > 0.5).all() and (pixels > 0).all() and (pixels < 64).all()


def test_more_layers_are_more_opaque_and_one_is_the_same():
    gaussians = ball_of_gaussians(count=50)
    assert torch.allclose(solid(gaussians, 1).opacities, gaussians.opacities)
    assert (solid(gaussians, 3).opacities > gaussians.opacities).all()


def test_a_jump_in_depth_is_not_certain_and_emptiness_is_no_jump():
    depth = np.zeros((1, 5, 6), np.float32)
    depth[:, :, 1:3], depth[:, :, 3:5] = 2.0, 2.5
    _, certain = filter_depth(
        np.zeros((1, 5, 6, 3), np.float32), (depth > 0).astype(np.float32), depth, 0.5, 0.05
    )
    assert certain[0, 2].tolist() == [0, 2.0, 0, 0, 2.5, 0]


def test_nothing_to_see_is_an_error():
    far = ball_of_gaussians(count=20)
    with pytest.raises(ValueError, match="no surface"):
        fuse_depth(
            render_depth_views(
                Gaussians(far.means, far.quats, far.scales, far.opacities * 0.01, far.colors), 64
            )
        )


def test_holes_are_counted():
    whole = ball_surface()
    holed = Surface(
        whole.vertices, whole.faces[(whole.vertices[whole.faces].mean(1) * [0, 1, 0]).sum(1).__abs__() < 0.38]
    )
    assert describe(holed)["holes"] == 2 and not describe(holed)["watertight"]


def test_only_the_largest_component_stays():
    big, small = ball_surface(), ball_surface(0.05, 1)
    both = Surface(
        np.concatenate([big.vertices, small.vertices + 1]),
        np.concatenate([big.faces, small.faces + len(big.vertices)]),
    )
    assert describe(both)["components"] == 2
    kept = largest_component(both)
    assert len(kept.faces) == len(big.faces) and len(boundary(kept)) == 0


def test_smoothing_takes_noise_away_and_does_not_shrink():
    ball = ball_surface()
    noisy = Surface(
        ball.vertices + np.random.default_rng(0).normal(0, 0.004, ball.vertices.shape), ball.faces
    )
    distance = np.linalg.norm(smooth(noisy, 10).vertices, axis=1)
    assert distance.std() < 0.6 * np.linalg.norm(
        noisy.vertices, axis=1
    ).std() and distance.mean() == pytest.approx(RADIUS, abs=0.003)


def test_normals_of_a_dented_ball_return_to_those_of_the_ball():
    ball = ball_surface()
    front = ball.vertices[:, 2] < 0
    ripple = 0.004 * np.sin(40 * ball.vertices[:, :1]) * front[:, None]
    dented = Surface(ball.vertices * (1 + ripple / RADIUS), ball.faces)
    cameras = orbit_cameras([0.0, 180.0], 96)
    from turnaround.models.mesh.silhouette import normal_maps

    true = normal_maps(torch.from_numpy(ball.vertices).float(), ball.faces.astype(np.int32), cameras)
    targets = NormalTargets(cameras, true, (true.norm(dim=-1) > 0.5).float())
    refined, trace = refine_to_normals(dented, targets, iterations=30)
    assert trace[-1] < 0.6 * trace[0]
    before, after = (
        np.abs(np.linalg.norm(s.vertices, axis=1) - RADIUS)[front].mean() for s in (dented, refined)
    )
    assert after < before
    assert np.abs(refined.vertices - dented.vertices).max() < 0.02


def test_colours_come_from_the_views(ball, views):
    colors = paint(ball, views)
    expected = torch.from_numpy(ball.vertices / RADIUS * 0.5 + 0.5).float()
    assert (colors - expected).abs().mean() < 0.03 and (colors - expected).abs().quantile(0.99) < 0.15


def test_the_stage_reports_what_it_made():
    gaussians, size = ball_of_gaussians(count=2000, scale=0.016), 64
    cameras = orbit_cameras([0.0, 180.0], size)
    from turnaround.models.mesh.silhouette import normal_maps

    ball = ball_surface(subdivisions=3)
    maps = normal_maps(torch.from_numpy(ball.vertices).float(), ball.faces.astype(np.int32), cameras)
    pictures = [encode_normals(maps[k], cameras[k]) for k in range(2)]
    config = MeshConfig(depth_size=96, voxel=0.02, faces=2000, iterations=3, preview_size=64)
    view = rasterize(gaussians, cameras, outputs=("rgb", "alpha"))
    photo = View(view.rgb[0].clamp(0, 1), view.alpha[0], cameras[0])
    run = lambda: MeshStage(config).run(  # noqa: E731
        device=torch.device("cpu"),
        photo=photo,
        gaussians=gaussians,
        normals_front=pictures[0],
        normals_back=pictures[1],
    )
    made, again = run(), run()
    assert made.report["watertight"] and made.report["faces"] == len(made.mesh.faces) <= 2000
    assert torch.equal(made.mesh.vertices, again.mesh.vertices) and torch.equal(
        made.mesh.colors, again.mesh.colors
    )
    assert set(made.previews) == {
        f"{look}_{a:03d}" for look in ("color", "normals") for a in (0, 90, 180, 270)
    }


def test_normal_pictures_must_match():
    with pytest.raises(CallError, match="normal pictures"):
        normal_targets(torch.ones(8, 8, 4), torch.ones(8, 8, 3))


def test_gaussians_without_a_surface_are_told_with_the_remedy():
    ball = ball_of_gaussians(count=50)
    clear = Gaussians(ball.means, ball.quats, ball.scales, 0.01 * ball.opacities, ball.colors)
    photo = View(torch.ones(8, 8, 3), torch.zeros(8, 8), orbit_cameras([0.0], 8)[0])
    inputs = {"photo": photo, "gaussians": clear, "normals_front": torch.zeros(8, 8, 4)}
    with pytest.raises(StageError, match=r"no mesh: .*06_fuse/views"):
        MeshStage(MeshConfig(depth_size=64, voxel=0.02)).run(
            device=torch.device("cpu"), normals_back=torch.zeros(8, 8, 4), **inputs
        )
