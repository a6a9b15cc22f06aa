"""The compiled kernels of mesh and film against slow readable twins: pictures, depth, colours, edges, normals
with their gradient."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import trimesh

from turnaround.models.mesh.depth_filter import filter_depth
from turnaround.models.mesh.painting import paint
from turnaround.models.mesh.silhouette import normal_difference, normal_maps, vertex_normals, visible_faces
from turnaround.models.mesh.silhouette.face_normals import add_face_normals
from turnaround.models.mesh.surface import Surface, boundary, describe
from turnaround.models.mesh.tsdf import DepthViews
from turnaround.models.mesh.view import mesh_pictures
from turnaround.models.mesh.zbuffer import rasterize_views
from turnaround.models.refinement.terms import normal_loss
from turnaround.pipeline.formats import glb
from turnaround.pipeline.formats.normal_image import encode_normals
from turnaround.pipeline.formats.video import encode
from turnaround.pipeline.values.camera import orbit_cameras, project, resize
from turnaround.pipeline.values.normals import summed_normals
from turnaround.pipeline.values.types import Mesh

CAMERAS = orbit_cameras([10.0, 150.0, 260.0], 40, elevation=12.0)


def bumpy_ball(seed=0):
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=0.4)
    rng = np.random.default_rng(seed)
    vertices = torch.tensor(
        np.asarray(sphere.vertices) * rng.uniform(0.9, 1.1, (len(sphere.vertices), 1)), dtype=torch.float32
    )
    return Mesh(
        vertices,
        torch.tensor(np.asarray(sphere.faces)).long(),
        torch.tensor(rng.random((len(vertices), 3)), dtype=torch.float32),
    )


def slow_pictures(mesh, cameras, look, supersample):
    """Attribute pictures, one torch operation after the other."""
    large, faces = resize(cameras, cameras.width * supersample), mesh.faces.numpy().astype(np.int32)
    visible = visible_faces(mesh.vertices, faces, large)
    hit, bary = torch.from_numpy(visible[0] >= 0), torch.from_numpy(visible[1])
    normals = normal_maps(mesh.vertices, faces, large, visible)
    if look == "normals":
        rgba = torch.stack([encode_normals(n, large[i], hit[i].float()) for i, n in enumerate(normals)])
        pictures = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
    else:
        pictures = (
            mesh.colors[mesh.faces[torch.from_numpy(visible[0]).clamp(min=0).long()]] * bary[..., None]
        ).sum(-2)
        if look == "shaded":
            in_camera = torch.einsum("cij,chwj->chwi", large.T_camera_world[:, :3, :3], normals)
            toward = F.normalize(torch.tensor([0.25, -0.45, -0.85]), dim=0)
            pictures = pictures * (0.72 + 0.36 * (in_camera @ toward).clamp(min=0))[..., None]
        pictures = torch.where(hit[..., None], pictures, 1.0)
    return F.avg_pool2d(pictures.movedim(-1, 1), supersample).movedim(1, -1).clamp(0, 1)


@pytest.mark.parametrize("look", ["color", "shaded", "normals"])
@pytest.mark.parametrize("supersample", [1, 2])
def test_mesh_pictures_agree_with_the_slow_twin(look, supersample):
    mesh = bumpy_ball()
    torch.testing.assert_close(
        mesh_pictures(mesh, CAMERAS, look, supersample=supersample),
        slow_pictures(mesh, CAMERAS, look, supersample),
        atol=2e-6,
        rtol=0,
    )


def test_a_mesh_whose_faces_name_no_vertex_is_refused():
    mesh = bumpy_ball()
    with pytest.raises(ValueError, match="faces name vertices"):
        mesh_pictures(dataclasses.replace(mesh, faces=mesh.faces + 1), CAMERAS)


def depth_range(depth):
    """Largest minus smallest depth among the 3 x 3 neighbours that have one."""
    far = F.max_pool2d(depth[:, None], 3, 1, 1)[:, 0]
    return far + F.max_pool2d(torch.where(depth > 0, -depth, -1e3)[:, None], 3, 1, 1)[:, 0]


def test_filtered_depth_agrees_with_pooling():
    generator = torch.Generator().manual_seed(0)
    alpha = torch.rand(3, 33, 21, generator=generator) * (torch.rand(3, 33, 21, generator=generator) > 0.2)
    depth = (2 + 0.03 * torch.rand(3, 33, 21, generator=generator)) * (alpha > 0)
    rgb = torch.rand(3, 33, 21, 3, generator=generator) * alpha[..., None]
    color, certain = filter_depth(rgb.numpy(), alpha.numpy(), depth.numpy(), 0.4, 0.02)
    opaque = torch.where(alpha > 0.4, depth, 0.0)
    expected = opaque * (depth_range(opaque) < 0.02)
    assert 0 < (expected > 0).sum() < (opaque > 0).sum()
    torch.testing.assert_close(torch.from_numpy(certain), expected, atol=0, rtol=0)
    torch.testing.assert_close(torch.from_numpy(color), (rgb / alpha[..., None].clamp(min=1e-3)).clamp(0, 1))


def ball_views(size=64):
    """Colour, opacity and depth of a ball, with pixels that are missing and half transparent."""
    mesh = bumpy_ball(1)
    cameras = orbit_cameras([0.0, 70.0, 140.0, 210.0, 280.0], size, elevation=20.0)
    faces = mesh.faces.numpy().astype(np.int32)
    face, bary, depth = (torch.from_numpy(x) for x in visible_faces(mesh.vertices, faces, cameras))
    color = (mesh.colors[mesh.faces[face.clamp(min=0).long()]] * bary[..., None]).sum(-2)
    alpha = (face >= 0).float() * (
        0.6 + 0.4 * torch.rand(face.shape, generator=torch.Generator().manual_seed(0))
    )
    return Surface(mesh.vertices.double().numpy(), mesh.faces.numpy()), DepthViews(
        cameras, color, alpha, depth, depth
    )


def slow_colors(surface, views, tolerance=0.02, sharpness=4.0):
    """Weighted means by `grid_sample`; NaN for a vertex that nothing sees."""
    vertices = torch.from_numpy(surface.vertices).float()
    normals = vertex_normals(vertices, torch.from_numpy(surface.faces))
    total, weights = torch.zeros(len(vertices), 3), torch.zeros(len(vertices))
    for k in range(len(views.alpha)):
        camera = views.cameras[k]
        pixels, depth = project(vertices, camera)
        stacked = torch.cat(
            [views.color[k], views.alpha[k][..., None], views.raw_depth[k][..., None]], -1
        ).permute(2, 0, 1)
        grid = pixels / pixels.new_tensor([camera.width, camera.height]) * 2 - 1
        sampled = F.grid_sample(stacked[None], grid[None, None], align_corners=False)[0, :, 0].T
        toward = F.normalize(
            -camera.T_camera_world[:3, :3].T @ camera.T_camera_world[:3, 3] - vertices, dim=-1
        )
        seen = ((sampled[:, 4] - depth).abs() < tolerance) & (sampled[:, 3] > 0.7)
        weight = (normals * toward).sum(-1).clamp(min=0) ** sharpness * seen
        total, weights = total + weight[:, None] * sampled[:, :3], weights + weight
    return total / weights[:, None]


def test_painted_colours_agree_with_grid_sample_and_flow_where_nothing_is_seen():
    surface, views = ball_views()
    expected, found = slow_colors(surface, views), paint(surface, views)
    seen = expected.isfinite().all(-1)
    assert 0.4 < seen.float().mean() < 1
    difference = (found - expected)[seen].abs().amax(-1)
    # a depth within rounding of the tolerance may count on one side only
    assert (difference > 2e-5).float().mean() < 0.005
    assert torch.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


def slow_boundary(faces):
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = {}
    for a, b in edges.tolist():
        count[frozenset((a, b))] = count.get(frozenset((a, b)), 0) + 1
    return [edge for edge in edges.tolist() if count[frozenset(edge)] == 1]


def test_edges_of_one_face_are_found_and_a_wrong_direction_is_not_watertight():
    mesh = bumpy_ball()
    faces = mesh.faces.numpy()
    holed = Surface(
        mesh.vertices.double().numpy(),
        np.delete(faces, np.random.default_rng(0).integers(0, len(faces), 40), 0),
    )
    assert boundary(holed).tolist() == slow_boundary(holed.faces)
    assert boundary(Surface(holed.vertices, faces)).shape == (0, 2)
    turned = faces.copy()
    turned[5] = turned[5, ::-1]
    assert (
        describe(Surface(holed.vertices, faces))["watertight"]
        and not describe(Surface(holed.vertices, turned))["watertight"]
    )


@pytest.fixture(scope="module")
def normals_case():
    mesh = bumpy_ball(2)
    faces = mesh.faces.numpy().astype(np.int32)
    generator = torch.Generator().manual_seed(0)
    target = F.normalize(torch.randn(3, 40, 40, 3, generator=generator, dtype=torch.float64), dim=-1)
    weight = torch.rand(3, 40, 40, generator=generator, dtype=torch.float64).clamp(min=0.3) - 0.3
    return mesh.vertices.double(), faces, visible_faces(mesh.vertices, faces, CAMERAS), target, weight


def test_the_difference_of_normals_and_its_gradient_agree_with_the_drawn_maps(normals_case):
    vertices, faces, visible, target, weight = normals_case
    fast, slow = (vertices.clone().requires_grad_() for _ in range(2))
    total, count = normal_difference(fast, faces, visible, target, weight)
    maps = normal_maps(slow, faces, CAMERAS, visible)
    shown = weight * torch.from_numpy(visible[0] >= 0)
    expected = ((maps - target).abs().sum(-1) * shown).sum()
    torch.testing.assert_close((total, count), (expected, shown.sum()))
    (3 * total).backward()
    (3 * expected).backward()
    torch.testing.assert_close(fast.grad, slow.grad)  # float64: the same to rounding


def test_the_gradient_of_the_difference_is_that_of_finite_differences(normals_case):
    vertices, faces, visible, target, weight = normals_case
    leaf = vertices.clone().requires_grad_()
    normal_difference(leaf, faces, visible, target, weight)[0].backward()
    direction = torch.randn(vertices.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ahead, behind = (
        normal_difference(vertices + s * 1e-7 * direction, faces, visible, target, weight)[0] for s in (1, -1)
    )
    torch.testing.assert_close((leaf.grad * direction).sum(), (ahead - behind) / 2e-7, rtol=1e-4, atol=1e-6)


def test_with_known_pixels_as_weights_the_mean_is_the_refinements_loss(normals_case):
    vertices, faces, visible, target, _ = normals_case
    target = target * (torch.rand(3, 40, 40, 1, generator=torch.Generator().manual_seed(3)) > 0.4)
    known = (target != 0).any(-1).double()
    total, count = normal_difference(vertices, faces, visible, target, known)
    torch.testing.assert_close(
        total / count, normal_loss(normal_maps(vertices, faces, CAMERAS, visible), target)
    )


def test_the_number_of_bands_changes_nothing(monkeypatch):
    mesh = bumpy_ball()
    pixels, depth = project(mesh.vertices, CAMERAS[:1])
    uvz, faces = torch.cat([pixels, depth[..., None]], -1).numpy(), mesh.faces.numpy().astype(np.int32)
    one = rasterize_views(uvz, faces, 40, 40)
    monkeypatch.setattr("turnaround.models.mesh.zbuffer.numba.get_num_threads", lambda: 7)
    many = rasterize_views(uvz, faces, 40, 40)
    assert all(np.array_equal(a, b) for a, b in zip(one, many, strict=True))


def test_a_film_of_bytes_is_that_of_numbers_and_frames_must_be_alike():
    frames = [torch.rand(16, 20, 3, generator=torch.Generator().manual_seed(k)) for k in range(30)]
    assert encode(frames) == encode((frame * 255).round().byte().numpy() for frame in frames)
    with pytest.raises(ValueError, match="different sizes"):
        encode([torch.zeros(16, 20, 3), torch.zeros(16, 22, 3)])


def test_a_fault_of_the_frames_or_of_the_encoder_is_raised(tmp_path, monkeypatch):
    def broken():
        yield torch.zeros(16, 16, 3)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        encode(broken())
    program = tmp_path / "encoder"
    program.write_text("#!/bin/sh\necho wrong codec >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(program))
    with pytest.raises(RuntimeError, match="code 3: wrong codec"):
        encode([torch.zeros(256, 256, 3)] * 30)


def test_vertex_normals_of_files_pictures_and_losses_are_the_same():
    """Three sums, as files keep the order of theirs and torch the gradient: one definition."""
    rng = np.random.default_rng(0)
    points, faces = (
        rng.normal(size=(40, 3)).astype(np.float32),
        rng.integers(0, 40, (200, 3)).astype(np.int32),
    )
    ours = vertex_normals(torch.from_numpy(points), torch.from_numpy(faces).long()).numpy()
    across = np.zeros_like(points)
    add_face_normals(points, faces, across)
    np.testing.assert_allclose(across, summed_normals(points, faces), rtol=0, atol=1e-4)
    np.testing.assert_allclose(glb.vertex_normals(points, faces), ours, rtol=0, atol=1e-5)
