"""Masks against the z-buffer, outlines against analytic shapes, gradients against finite differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.mesh.silhouette import (
    body_masks,
    contour_points,
    mask_contour,
    mesh_contour,
    mesh_edges,
    normal_maps,
    vertex_normals,
    visible_faces,
)
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body

SIZE = 128


def sphere(radius: float = 0.5, rings: int = 40):
    """A closed sphere around the origin, faces counter-clockwise from outside (in axes with y down)."""
    theta = np.linspace(0, np.pi, rings + 1)[1:-1]
    phi = np.arange(2 * rings) * np.pi / rings
    grid = np.stack(
        [
            np.outer(np.sin(theta), np.cos(phi)),
            np.outer(np.cos(theta), np.ones_like(phi)),
            np.outer(np.sin(theta), np.sin(phi)),
        ],
        -1,
    )
    vertices = np.concatenate([grid.reshape(-1, 3), [[0, 1, 0], [0, -1, 0]]]) * radius
    n, m = len(theta), len(phi)
    i, j = np.meshgrid(np.arange(n - 1), np.arange(m), indexing="ij")
    a, b, c, d = i * m + j, i * m + (j + 1) % m, (i + 1) * m + j, (i + 1) * m + (j + 1) % m
    k = np.arange(m)
    top = np.stack([np.full(m, n * m), (k + 1) % m, k], 1)
    bottom = np.stack([np.full(m, n * m + 1), (n - 1) * m + k, (n - 1) * m + (k + 1) % m], 1)
    faces = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3), top, bottom]
    )
    return torch.tensor(vertices, dtype=torch.float32), faces.astype(np.int32)


@pytest.fixture(scope="module")
def body():
    model = BodyModel.load()
    pose = torch.randn(21, 3, generator=torch.Generator().manual_seed(0)) * 0.15
    with torch.no_grad():
        return model(
            dataclasses.replace(Body.neutral(), body_pose=pose)
        ).vertices, model.skin_faces.numpy().astype(np.int32)


@pytest.fixture(scope="module")
def cameras():
    return orbit_cameras([0, 50, 180], SIZE)


def outline_radius(radius: float = 0.5, distance: float = 2.0, focal: float = 0.8 * SIZE) -> float:
    """Pixels from the centre to the outline of a sphere seen in perspective."""
    return focal * radius / np.sqrt(distance**2 - radius**2)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_a_mask_is_where_the_z_buffer_sees_a_face(body, cameras, samples):
    vertices, faces = body
    fine = orbit_cameras([0, 50, 180], SIZE * samples)
    hit = torch.from_numpy(visible_faces(vertices, faces, fine)[0] >= 0).float()
    expected = torch.nn.functional.avg_pool2d(hit[:, None], samples)[:, 0]
    mask = body_masks(vertices, faces, cameras, samples=samples)
    # a sample exactly on an edge may fall either way
    assert ((mask - expected).abs() > 1e-6).float().mean() < 1e-4
    assert mask.shape == (3, SIZE, SIZE)


def test_the_mask_of_a_sphere_has_its_area(cameras):
    vertices, faces = sphere()
    area = body_masks(vertices, faces, cameras, samples=4).sum((1, 2)).numpy()
    np.testing.assert_allclose(
        area, np.pi * outline_radius() ** 2, rtol=0.01
    )  # the polyhedron lies inside the sphere


def test_a_mesh_behind_the_camera_is_refused(cameras):
    vertices, faces = sphere()
    with pytest.raises(ValueError, match="before every camera"):
        body_masks(vertices - torch.tensor([0, 0, 2.0]), faces, cameras)


def test_every_edge_of_a_closed_mesh_has_two_faces():
    _, faces = sphere()
    edges = mesh_edges(faces)
    assert len(edges.ends) == len(faces) * 3 // 2  # Euler
    assert (edges.sides >= 0).all()
    for k in range(0, len(edges.ends), 97):
        for side in edges.sides[k]:
            assert set(edges.ends[k]) < set(faces[side])
        assert set(edges.ends[k]) | {edges.opposite[k]} == set(faces[edges.sides[k, 0]])
    assert (mesh_edges(faces[:1]).sides[:, 1] == -1).all()


def test_the_contour_of_a_sphere_is_its_outline(cameras):
    vertices, faces = sphere()
    contour = mesh_contour(vertices, mesh_edges(faces), cameras)
    offset = contour.points - SIZE / 2
    radius = np.linalg.norm(offset, axis=1)
    np.testing.assert_allclose(radius, outline_radius(), rtol=0.02)
    outwards = (contour.normals * offset).sum(1) / radius
    assert outwards.min() > 0.8
    for view in range(3):
        np.testing.assert_allclose(
            contour.lengths[contour.of_view(view)].sum(), 2 * np.pi * outline_radius(), rtol=0.05
        )


def test_the_contour_lies_on_the_edge_of_the_mask(body, cameras):
    vertices, faces = body
    contour = mesh_contour(vertices, mesh_edges(faces), cameras)
    masks = body_masks(vertices, faces, cameras, samples=4).numpy()
    for view in range(3):
        span = contour.of_view(view)
        points, _ = mask_contour(masks[view])
        apart = np.linalg.norm(contour.points[span, None] - points, axis=-1)
        assert np.quantile(apart.min(1), 0.97) < 1.0  # gaps thinner than a pixel have no crossing of 0.5
        assert np.quantile(apart.min(0), 0.99) < 0.75


def test_the_contour_of_a_soft_disc_is_found_below_a_pixel():
    y, x = np.mgrid[:64, :64] + 0.5
    radius = np.hypot(x - 30.3, y - 33.1)
    points, normals = mask_contour(np.clip(17.2 - radius + 0.5, 0, 1).astype(np.float32))
    offset = points - [30.3, 33.1]
    np.testing.assert_allclose(np.linalg.norm(offset, axis=1), 17.2, atol=0.1)
    assert ((normals * offset).sum(1) / 17.2).min() > 0.97


def test_contour_points_repeat_the_samples_and_have_exact_gradients(cameras):
    vertices, faces = sphere(rings=12)
    contour = mesh_contour(vertices, mesh_edges(faces), cameras)
    np.testing.assert_allclose(contour_points(vertices, contour, cameras).numpy(), contour.points, atol=1e-4)
    double = dataclasses.replace(
        cameras, K=cameras.K.double(), T_camera_world=cameras.T_camera_world.double()
    )
    start = vertices.double().requires_grad_()
    weights = torch.randn(len(contour.t), 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def value(v):
        return (contour_points(v, contour, double) * weights).sum()

    (gradient,) = torch.autograd.grad(value(start), start)
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    step = 1e-6
    slope = (value(start + step * direction) - value(start - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-7, atol=1e-6)


def test_contour_points_follow_the_true_outline(cameras):
    """The outline of a growing sphere moves as its samples do, although the silhouette changes its edges."""
    vertices, faces = sphere(rings=60)
    contour = mesh_contour(vertices, mesh_edges(faces), cameras)
    grown = contour_points(vertices * 1.02, contour, cameras).numpy() - SIZE / 2
    np.testing.assert_allclose(np.linalg.norm(grown, axis=1).mean(), outline_radius(0.51), rtol=2e-3)


def test_normals_of_a_sphere_point_out(cameras):
    vertices, faces = sphere()
    normals = vertex_normals(vertices, torch.from_numpy(faces).long())
    assert ((normals * vertices / 0.5).sum(-1)).min() > 0.995
    maps = normal_maps(vertices, faces, cameras)
    centre = maps[:, SIZE // 2, SIZE // 2]
    towards = -cameras.T_camera_world[:, 2, :3]  # the camera's axis, reversed
    assert ((centre * towards).sum(-1) > 0.99).all()
    lengths = maps.norm(dim=-1)
    assert ((lengths - 1).abs() < 1e-5)[lengths > 0].all()
    assert (lengths[:, 0, 0] == 0).all()


def test_normal_maps_have_gradients_to_vertices(cameras):
    vertices, faces = sphere(rings=12)
    visible = visible_faces(vertices, faces, cameras)
    start = vertices.double().requires_grad_()
    weights = torch.randn(3, SIZE, SIZE, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def value(v):
        return (normal_maps(v, faces, cameras, visible) * weights).sum()

    (gradient,) = torch.autograd.grad(value(start), start)
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    step = 1e-6
    slope = (value(start + step * direction) - value(start - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-6, atol=1e-6)
