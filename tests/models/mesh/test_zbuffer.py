"""Laws of the z-buffer, and agreement with a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from typecheck import unchecked

from turnaround.models.mesh.zbuffer import rasterize_mesh, rasterize_views


def slow_twin(vertices, faces, height, width):
    """All pixels against all faces: barycentric coordinates on the screen, then perspective correction."""
    v = np.asarray(vertices, np.float64)
    y, x = np.mgrid[:height, :width] + 0.5
    face_id, depth, bary = (
        np.full((height, width), -1),
        np.full((height, width), np.inf),
        np.zeros((height, width, 3)),
    )
    for k, (a, b, c) in enumerate(v[faces]):
        matrix = np.stack([a[:2] - c[:2], b[:2] - c[:2]], 1)
        if abs(np.linalg.det(matrix)) == 0:
            continue
        l01 = np.linalg.solve(matrix, np.stack([x - c[0], y - c[1]]).reshape(2, -1)).reshape(2, height, width)
        weights = (
            np.concatenate([l01, 1 - l01.sum(0, keepdims=True)]) / np.array([a[2], b[2], c[2]])[:, None, None]
        )
        z = 1 / weights.sum(0)
        nearer = (weights >= 0).all(0) & (z < depth)
        depth[nearer], face_id[nearer], bary[nearer] = z[nearer], k, np.moveaxis(weights * z, 0, -1)[nearer]
    return face_id, bary, np.where(face_id < 0, 0, depth)


def triangle_soup(seed: int, count: int, size: int):
    rng = np.random.default_rng(seed)
    vertices = np.concatenate(
        [rng.uniform(-5, size + 5, (3 * count, 2)), rng.uniform(1, 3, (3 * count, 1))], 1
    ).astype(np.float32)
    return vertices, np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("height,width", [(40, 40), (97, 31)])
def test_agrees_with_the_slow_twin(seed, height, width):
    vertices, faces = triangle_soup(seed, 25, width)
    face_id, bary, depth = rasterize_mesh(vertices, faces, height, width)
    expected_id, expected_bary, expected_depth = slow_twin(vertices, faces, height, width)
    # a pixel centre may lie on an edge to rounding: random corners make that all but impossible
    np.testing.assert_array_equal(face_id, expected_id)
    np.testing.assert_allclose(depth, expected_depth, atol=1e-5)
    np.testing.assert_allclose(bary, expected_bary, atol=1e-5)


def test_depth_of_a_plane_is_the_rays_intersection():
    """A slanted plane n.p = d seen with focal f: z = d / (n . ray) at each pixel centre."""
    f, size, normal, d = 30.0, 48, np.array([0.3, -0.2, 0.9]), 2.0
    corners = np.array([[-5, -5], [55, -5], [55, 55], [-5, 55]], np.float64)

    def rays(p):
        return np.concatenate([(p - size / 2) / f, np.ones((*p.shape[:-1], 1))], -1)

    vertices = np.concatenate([corners, d / (rays(corners) @ normal)[:, None]], 1).astype(np.float32)
    _, bary, depth = rasterize_mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32), size, size)
    pixels = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), -1)
    np.testing.assert_allclose(depth, d / (rays(pixels) @ normal), rtol=1e-5)
    np.testing.assert_allclose(bary.sum(-1), 1, atol=1e-6)


def test_attributes_reproduce_the_pixel_centres():
    """Interpolating the camera-space points with `bary` gives back pixel centre and depth."""
    vertices, faces = triangle_soup(7, 10, 32)
    face_id, bary, depth = rasterize_mesh(vertices, faces, 32, 32)
    points = np.concatenate([vertices[:, :2] * vertices[:, 2:], vertices[:, 2:]], 1)
    hit = face_id >= 0
    q = (points[faces[face_id[hit]]] * bary[hit][..., None]).sum(-2)
    y, x = np.nonzero(hit)
    np.testing.assert_allclose(q[:, :2] / q[:, 2:], np.stack([x, y], 1) + 0.5, atol=2e-4)
    np.testing.assert_allclose(q[:, 2], depth[hit], atol=1e-5)


def test_a_closed_sheet_has_no_cracks_even_on_pixel_centres():
    n = 9
    x, y = np.meshgrid(
        np.linspace(0.5, 31.5, n), np.linspace(0.5, 31.5, n)
    )  # many vertices fall on pixel centres
    vertices = np.stack([x.ravel(), y.ravel(), np.full(n * n, 2.0)], 1).astype(np.float32)
    i = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate([np.stack([i, i + 1, i + n], 1), np.stack([i + 1, i + n + 1, i + n], 1)]).astype(
        np.int32
    )
    face_id, _, depth = rasterize_mesh(vertices, faces, 32, 32)
    assert (face_id >= 0).all()
    np.testing.assert_allclose(depth, 2.0)


def test_winding_and_order_of_faces_do_not_matter():
    vertices, faces = triangle_soup(3, 20, 40)
    _, _, depth = rasterize_mesh(vertices, faces, 40, 40)
    order = np.random.default_rng(0).permutation(len(faces))
    face_id, _, turned = rasterize_mesh(vertices, faces[order][:, ::-1], 40, 40)
    np.testing.assert_allclose(turned, depth, atol=1e-6)
    straight, _, _ = rasterize_mesh(vertices, faces, 40, 40)
    np.testing.assert_array_equal(np.where(face_id >= 0, order[face_id], -1), straight)


def test_views_are_independent_and_bands_meet():
    first, faces = triangle_soup(1, 12, 200)
    second = first[:, [1, 0, 2]]
    both = rasterize_views(np.stack([first, second]), faces, 200, 200)
    for k, vertices in enumerate((first, second)):
        for batched, single in zip(both, rasterize_mesh(vertices, faces, 200, 200), strict=True):
            np.testing.assert_array_equal(batched[k], single)


def test_faces_behind_the_camera_are_not_drawn():
    vertices = np.array([[0, 0, 1], [20, 0, 1], [0, 20, -1]], np.float32)
    face_id, _, depth = rasterize_mesh(vertices, np.array([[0, 1, 2]], np.int32), 10, 10)
    assert (face_id == -1).all() and (depth == 0).all()


@pytest.mark.parametrize(
    "vertices,faces,message",
    [
        (np.zeros((3, 2)), np.zeros((1, 3)), "vertices, 3"),
        (np.zeros((3, 3)), np.zeros((1, 4)), r"\(faces, 3\)"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), "there are 3"),
    ],
)
def test_wrong_shapes_are_named(vertices, faces, message):
    with unchecked(), pytest.raises(ValueError, match=message):
        rasterize_mesh(vertices, faces, 4, 4)
