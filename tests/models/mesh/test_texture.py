"""The atlas, the bake and the textured picture: twins of the kernels, and colours that come back from every
side."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import trimesh
from toy_textured import RADIUS, ball, smooth

from turnaround.models.mesh.surface import Surface
from turnaround.models.mesh.view import mesh_pictures, textured_pictures
from turnaround.models.mesh.zbuffer import rasterize_mesh
from turnaround.models.texture.atlas import RESOLUTION, unwrap
from turnaround.models.texture.bake import FALLBACK, SHARPNESS, TOLERANCE, add_view, bake
from turnaround.models.texture.gutter import fill_gutters, nearest
from turnaround.models.texture.sight import seen_depth, trust
from turnaround.models.texture.texels import surface_texels
from turnaround.pipeline.values.camera import camera_center, cropped, orbit_cameras, project, rays
from turnaround.pipeline.values.types import Mesh, TexturedMesh, View


def ball_view(azimuth: float, size: int = 200, elevation: float = 0.0, wrong: float = 0.0) -> View:
    """An exact picture of the ball in `smooth` from any side, by its equation, over white."""
    camera = cropped(orbit_cameras([azimuth], 256, elevation=elevation)[0], (50.0, 60.0), 150.0, size)
    centre, ray = camera_center(camera), torch.nn.functional.normalize(rays(camera), dim=-1)
    half, inner = (ray * centre).sum(-1), (centre * centre).sum() - RADIUS**2
    root = half.square() - inner
    points = centre + ray * (-half - root.clamp(min=0).sqrt())[..., None]
    mask = (root > 0).float()
    colors = (smooth(points) + wrong).clamp(0, 1)
    return View(colors * mask[..., None] + 1 - mask[..., None], mask, camera)


def without_colour(mesh: TexturedMesh) -> TexturedMesh:
    return dataclasses.replace(mesh, colors=torch.full_like(mesh.colors, 0.5))


# the atlas


def test_an_atlas_holds_every_face_once_and_charts_do_not_overlap():
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=RADIUS)
    surface = Surface(np.asarray(sphere.vertices), np.asarray(sphere.faces))
    atlas = unwrap(surface)
    assert (atlas.origin[atlas.faces] == surface.faces).all() and atlas.uv.min() >= 0 and atlas.uv.max() <= 1
    flat = np.concatenate([atlas.uv * 512, np.ones((len(atlas.uv), 1))], 1).astype(np.float32)
    a, b, c = (flat[atlas.faces[:, k], :2] for k in range(3))
    area = (
        np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])).sum()
        / 2
    )
    drawn = rasterize_mesh(flat, atlas.faces, 512, 512)[0]
    assert (drawn >= 0).sum() == pytest.approx(area, rel=0.02), "what is drawn once has the area of all faces"
    again = unwrap(surface)
    assert (again.uv == atlas.uv).all() and (again.faces == atlas.faces).all()
    with pytest.raises(ValueError, match="0 faces"):
        unwrap(Surface(np.zeros((3, 3)), np.zeros((0, 3), int)))


def test_charts_keep_their_distance():
    mesh = ball()
    size = RESOLUTION // 4
    flat = np.concatenate([mesh.uv.numpy() * size, np.ones((len(mesh.uv), 1))], 1).astype(np.float32)
    drawn = rasterize_mesh(flat, mesh.faces.numpy(), size, size)[0]
    chart = chart_of_faces(mesh)
    owner = np.where(drawn >= 0, chart[drawn], -1)
    for shift in (
        1,
    ):  # two texels of a quarter of the resolution are at least the padding of 8 less rounding
        for a, b in ((owner[shift:], owner[:-shift]), (owner[:, shift:], owner[:, :-shift])):
            assert not ((a >= 0) & (b >= 0) & (a != b)).any()


def chart_of_faces(mesh: TexturedMesh) -> np.ndarray:
    """Connected component of each face, by shared vertices."""
    from turnaround.models.mesh.surface import components

    return components(Surface(mesh.vertices.numpy(), mesh.faces.numpy()))[mesh.faces[:, 0].numpy()]


# texels


def test_texels_lie_on_the_surface():
    mesh = ball()
    texels = surface_texels(mesh, 128)
    assert (np.diff(texels.place) > 0).all()
    radius = np.linalg.norm(texels.points, axis=1)
    assert radius.max() < RADIUS + 1e-6 and radius.min() > RADIUS * 0.98
    unit = texels.normals / np.linalg.norm(texels.normals, axis=1, keepdims=True)
    assert ((unit * texels.points).sum(1) / radius).min() > 0.98
    np.testing.assert_allclose(texels.colors, smooth(torch.from_numpy(texels.points)), atol=0.03)


def test_texels_agree_with_the_slow_twin():
    mesh = ball()
    size = 48
    texels = surface_texels(mesh, size)
    uv = mesh.uv.double().numpy() * size
    expected = {}
    for face in mesh.faces.numpy():
        corners = uv[face]
        matrix = np.stack([corners[0] - corners[2], corners[1] - corners[2]], 1)
        if abs(np.linalg.det(matrix)) < 1e-12:
            continue
        for y in range(max(0, int(corners[:, 1].min()) - 1), min(size, int(corners[:, 1].max()) + 2)):
            for x in range(max(0, int(corners[:, 0].min()) - 1), min(size, int(corners[:, 0].max()) + 2)):
                a, b = np.linalg.solve(matrix, np.array([x + 0.5, y + 0.5]) - corners[2])
                if min(a, b, 1 - a - b) >= 1e-9:
                    expected[y * size + x] = (
                        np.array([a, b, 1 - a - b]) @ mesh.vertices.double().numpy()[face]
                    )
    assert set(expected) <= set(texels.place.tolist()) and len(texels.place) - len(expected) < 3
    found = dict(zip(texels.place.tolist(), texels.points, strict=True))
    assert max(np.abs(found[k] - v).max() for k, v in expected.items()) < 1e-5


# what a view sees


def test_trust_grows_from_edges_and_from_lines_where_one_thing_stands_before_another():
    view = ball_view(0)
    depth = 2 * view.mask.numpy()
    found = trust(view, depth, rim=10)
    assert (found[view.mask.numpy() == 0] == 0).all() and found.max() == 1
    row = found[100]
    inside = np.flatnonzero(row > 0)
    assert row[inside[0]] == pytest.approx(0.1, abs=1e-6) and row[inside[0] + 11] == pytest.approx(1)
    depth[:, 100:] += 0.2 * (depth[:, 100:] > 0)
    broken = trust(view, depth, rim=10)
    assert broken[100, 100] == 0 and broken[100, 99] == pytest.approx(0.1, abs=1e-6) == broken[100, 101], (
        "the far side of a step"
    )
    nothing = dataclasses.replace(view, mask=torch.zeros_like(view.mask))
    assert (trust(nothing, depth, rim=10) == 0).all()


def slow_add(points, normals, view: View, share: float, depth, believed):
    """Weight and colour of each point, one by one."""
    centre = camera_center(view.camera).numpy()
    pixels, z = project(torch.from_numpy(points), view.camera)
    weights, colors = np.zeros(len(points)), np.zeros((len(points), 3))
    image, (height, width) = view.image.numpy(), depth.shape
    for i, (point, normal) in enumerate(zip(points, normals, strict=True)):
        to_camera = (centre - point) / np.linalg.norm(centre - point)
        cosine = normal @ to_camera / np.linalg.norm(normal)
        u, v = pixels[i].tolist()
        if cosine <= 0 or not (0 <= u < width and 0 <= v < height):
            continue
        x0, y0 = int(np.floor(u - 0.5)), int(np.floor(v - 0.5))
        fx, fy = u - 0.5 - x0, v - 0.5 - y0
        sure = 0.0
        for dy, dx, part in (
            (0, 0, (1 - fx) * (1 - fy)),
            (0, 1, fx * (1 - fy)),
            (1, 0, (1 - fx) * fy),
            (1, 1, fx * fy),
        ):
            y, x = y0 + dy, x0 + dx
            if not (0 <= y < height and 0 <= x < width) or depth[y, x] == 0 or z[i] > depth[y, x] + TOLERANCE:
                continue
            sure += part * believed[y, x]
            colors[i] += part * believed[y, x] * image[y, x]
        colors[i] /= max(sure, 1e-9)
        weights[i] = (share * cosine**2 * sure) ** SHARPNESS
    return weights, colors


@pytest.mark.parametrize("azimuth,elevation", [(0, 0), (130, 25), (-90, -40)])
def test_the_bake_s_kernel_agrees_with_the_slow_twin(azimuth, elevation):
    mesh = ball()
    texels = surface_texels(mesh, 40)
    view = ball_view(azimuth, 120, elevation)
    depth = seen_depth(mesh, view.camera)
    believed = trust(view, depth, 8.0)
    total, weights = np.zeros((len(texels.place), 3), np.float32), np.zeros(len(texels.place), np.float32)
    add_view(texels, view, 2.0, depth, believed, total, weights)
    expected, colors = slow_add(texels.points, texels.normals, view, 2.0, depth, believed)
    close = np.abs(weights - expected) < 1e-4
    assert close.mean() > 0.995, "a point that lies on a pixel's edge may be of either"
    np.testing.assert_allclose(total[close], (expected[:, None] * colors)[close], atol=1e-3)
    assert (expected > 0).mean() > 0.2


# the bake


@pytest.mark.parametrize("elevation", [0.0, 20.0])
def test_a_smoothly_coloured_ball_comes_back_from_every_side(elevation):
    views = [
        (ball_view(azimuth, elevation=(-1) ** k * elevation), 1.0)
        for k, azimuth in enumerate((0, 90, 180, 270))
    ]
    views += [(ball_view(0, elevation=60), 1.0), (ball_view(180, elevation=-60), 1.0)]
    baked = bake(without_colour(ball()), views, 256)
    cameras = orbit_cameras([20.0, 110.0, 200.0, 290.0], 128, elevation=[0.0, 10.0, -10.0, 30.0])
    truth = dataclasses.replace(ball(), texture=ball(512).texture)
    difference = (textured_pictures(baked, cameras) - textured_pictures(truth, cameras)).abs()
    drawn = (textured_pictures(truth, cameras) < 0.99).any(-1)
    assert difference[drawn].median() < 0.005 and difference[drawn].mean() < 0.02, (
        "all but what grazes in every view"
    )


def test_the_photo_comes_first_where_it_sees_well_and_fades_where_it_does_not():
    photo, side = ball_view(0), ball_view(90, wrong=0.3)
    mesh = without_colour(ball())
    baked = bake(mesh, [(photo, 2.0), (side, 0.2)], 256)
    alone = bake(mesh, [(photo, 2.0)], 256)
    texels = surface_texels(mesh, 256)
    facing = -texels.points[:, 2] / RADIUS
    near = texels.place[facing > 0.75]
    difference = (baked.texture - alone.texture).abs().reshape(-1, 3).numpy()
    assert difference[near].mean() < 0.005, "the other view adds nothing"
    edge = texels.place[(facing > -0.2) & (facing < 0.1) & (texels.points[:, 0] > 0.3)]
    assert difference[edge].mean() > 0.1, "and takes over where the photo grazes"


def test_what_no_view_sees_has_the_colour_of_the_vertices():
    mesh = ball()
    baked = bake(mesh, [(ball_view(0, wrong=-0.4), 1.0)], 128)
    texels = surface_texels(mesh, 128)
    behind = texels.points[:, 2] > 0.05
    found = baked.texture.reshape(-1, 3).numpy()[texels.place[behind]]
    np.testing.assert_allclose(found, texels.colors[behind], atol=1e-4)
    assert FALLBACK < 0.01


def test_an_arm_before_the_belly_does_not_paint_the_belly():
    front = trimesh.creation.box((0.2, 0.2, 0.02), trimesh.transformations.translation_matrix((0, 0, -0.3)))
    behind = trimesh.creation.box((0.8, 0.8, 0.02), trimesh.transformations.translation_matrix((0, 0, 0.1)))
    both = trimesh.util.concatenate([front, behind])
    atlas = unwrap(Surface(np.asarray(both.vertices), np.asarray(both.faces)))
    vertices = torch.tensor(np.asarray(both.vertices)[atlas.origin], dtype=torch.float32)
    colors = torch.full_like(vertices, 0.5)
    mesh = TexturedMesh(
        vertices, torch.from_numpy(atlas.faces), colors, torch.from_numpy(atlas.uv), torch.ones(1, 1, 3)
    )
    camera = orbit_cameras([0], 160)[0]
    depth = seen_depth(mesh, camera)
    nearer = (depth > 0) & (depth < 1.8)
    image = torch.where(
        torch.from_numpy(nearer)[..., None], torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    )
    baked = bake(mesh, [(View(image, torch.ones(160, 160), camera), 1.0)], 256)
    texels = surface_texels(mesh, 256)
    texture = baked.texture.reshape(-1, 3).numpy()[texels.place]
    belly = np.isclose(texels.points[:, 2], 0.09, atol=1e-3) & (texels.normals[:, 2] < -0.5)
    assert texture[belly, 0].max() <= 0.51, "no red on the belly"
    hidden = belly & (np.abs(texels.points[:, :2]).max(1) < 0.08)
    np.testing.assert_allclose(texture[hidden], 0.5, atol=1e-3)


def test_the_same_bytes_on_one_thread_and_on_two(monkeypatch):
    mesh, views = without_colour(ball()), [(ball_view(0), 2.0), (ball_view(180), 1.0)]
    two = bake(mesh, views, 128)
    monkeypatch.setattr("numba.get_num_threads", lambda: 1)
    assert torch.equal(bake(mesh, views, 128).texture, two.texture)


# gutters


def test_gutters_take_the_nearest_texel():
    rng = np.random.default_rng(3)
    seeds = np.flatnonzero(rng.random(40 * 40) < 0.02)
    source = np.full((40, 40), -1, np.int32)
    source.ravel()[seeds] = seeds
    nearest(source)
    y, x = np.mgrid[:40, :40]
    distance = np.hypot(source // 40 - y, source % 40 - x)
    exact = np.hypot(y[..., None] - seeds // 40, x[..., None] - seeds % 40).min(-1)
    assert (
        (source >= 0).all() and (distance - exact).max() < 0.6 and np.isclose(distance, exact).mean() > 0.97
    )


def test_a_texture_has_no_seam_at_its_charts_borders():
    texture = np.zeros((30, 30, 3), np.float32)
    place = np.flatnonzero(np.arange(900) % 30 < 10)
    texture.reshape(-1, 3)[place] = 0.7
    fill_gutters(texture, place)
    assert (texture == np.float32(0.7)).all()
    empty = np.ones((4, 4, 3), np.float32)
    fill_gutters(empty, np.zeros(0, np.int64))
    assert (empty == 1).all()


# the picture


def test_a_textured_picture_is_that_of_the_vertex_colours():
    mesh = ball(512, 4)
    cameras = orbit_cameras([0, 75, 200], 96, elevation=15)
    plain = mesh_pictures(Mesh(mesh.vertices, mesh.faces, mesh.colors), cameras, "color")
    assert (textured_pictures(mesh, cameras) - plain).abs().max() < 0.03


def test_a_textured_picture_agrees_with_the_slow_twin():
    mesh, camera = ball(), orbit_cameras([33.0], 24, elevation=-20)
    pixels, depth = project(mesh.vertices, camera[0])
    face, bary, _ = rasterize_mesh(
        torch.cat([pixels, depth[:, None]], -1).numpy(), mesh.faces.numpy(), 24, 24
    )
    expected = np.ones((24, 24, 3))
    texture = mesh.texture.numpy()
    for y, x in zip(*np.nonzero(face >= 0), strict=True):
        s, t = bary[y, x] @ mesh.uv.numpy()[mesh.faces.numpy()[face[y, x]]] * 256 - 0.5
        weights = [
            ((1 - abs(s - u)) * (1 - abs(t - v)), u, v)
            for u in (int(s), int(s) + 1)
            for v in (int(t), int(t) + 1)
        ]
        expected[y, x] = sum(w * texture[v, u] for w, u, v in weights)
    np.testing.assert_allclose(textured_pictures(mesh, camera, supersample=1)[0], expected, atol=1e-4)
