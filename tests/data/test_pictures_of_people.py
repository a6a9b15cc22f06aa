"""The textured renderer, the lights, and procedural pictures: fabrics, backgrounds, photos."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from turnaround.data.clothes import fabrics, skins
from turnaround.data.render import Atlas, Surface, render, vertex_normals
from turnaround.data.scenes.__main__ import write_backgrounds
from turnaround.data.scenes.backgrounds import background
from turnaround.data.scenes.lights import sample_lights, seen_from, vertex_light
from turnaround.data.scenes.strong_edges import scene
from turnaround.data.sets import photos

FACING = np.eye(4, dtype=np.float32)


def square(depth: float = 2.0, half: float = 0.5):
    """A square before the camera, texture coordinates 0 to 1, v up."""
    vertices = np.array(
        [[-half, half, depth], [half, half, depth], [half, -half, depth], [-half, -half, depth]], np.float32
    )
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)[faces]
    return vertices, faces, uv


def picture(vertices, faces, uv, textures, material=None, size=32, samples=3):
    material = np.zeros(len(faces), np.int16) if material is None else material
    K = np.array([[size * 2, 0, size / 2], [0, size * 2, size / 2], [0, 0, 1]], np.float32)
    ones = np.ones((len(vertices), 3), np.float32)
    surface = Surface(faces, uv, material, Atlas.of(textures))
    return render(surface, vertices, vertex_normals(vertices, faces), ones, K, FACING, size, samples=samples)


def test_a_texture_that_fills_the_picture_is_seen_as_it_is():
    texture = fabrics.to_texture(np.random.default_rng(0).random((32, 32, 3)))
    seen = picture(
        *square(), [texture], samples=1
    )  # the square covers the picture exactly: one texel a pixel
    assert (seen.alpha == 255).all()
    np.testing.assert_allclose(seen.color.astype(int), texture[..., :3].astype(int), atol=1)
    np.testing.assert_allclose(seen.depth, 2.0, atol=1e-5)
    np.testing.assert_allclose(seen.normal, np.broadcast_to([0, 0, -1], (32, 32, 3)), atol=1e-6)


def test_alpha_is_the_covered_share_of_a_pixel():
    vertices, faces, uv = square(half=0.25 + 1 / 192)  # its edge lies a third of a pixel into the next one
    seen = picture(vertices, faces, uv, [np.full((2, 2, 4), 255, np.uint8)], samples=3)
    assert seen.alpha.sum() / 255 == pytest.approx((16 + 2 / 3) ** 2, rel=0.01)
    assert (seen.over_white()[seen.alpha == 0] == 255).all()


def test_holes_in_a_texture_show_what_is_behind():
    near, faces, uv = square(1.5)
    far, _, _ = square(2.0, 0.6)
    strands = np.full((32, 32, 4), 255, np.uint8)
    strands[:, :16, 3] = 0
    red = np.tile(np.uint8([255, 0, 0, 255]), (2, 2, 1))
    material = np.array([0, 0, 1, 1], np.int16)
    seen = picture(
        np.concatenate([near, far]),
        np.concatenate([faces, faces + 4]),
        np.concatenate([uv, uv]),
        [strands, red],
        material,
    )
    assert (seen.color[:, :14] == [255, 0, 0]).all() and (seen.depth[:, :14] > 1.9).all()
    assert (seen.color[:, 18:] == 255).all() and (seen.depth[:, 18:] < 1.6).all()


def test_inner_sides_get_normals_towards_the_camera():
    vertices, faces, uv = square()
    flipped = picture(vertices, faces[:, ::-1].copy(), uv, [np.full((2, 2, 4), 255, np.uint8)])
    assert (flipped.normal[..., 2] < -0.99).all()


def test_a_roof_keeps_the_light_from_what_is_under_it():
    roof, faces, _ = square()
    ground, lying = roof[:, [0, 2, 1]] * 2, faces + 4
    ground[:, 1] = 1.0  # y points down
    roof = roof[:, [0, 2, 1]]
    roof[:, 1] = 0.0
    grid = (
        np.stack(np.meshgrid(np.linspace(-1, 1, 9), [1.0], np.linspace(3, 5, 9)), -1)
        .reshape(-1, 3)
        .astype(np.float32)
    )
    roof[:, 2] += 4 - roof[:, 2].mean()
    ground[:, 2] += 4 - ground[:, 2].mean()
    vertices = np.concatenate([roof, ground, grid]).astype(np.float32)
    seen = seen_from(np.array([0.0, -1.0, 0.0]), vertices, np.concatenate([faces, lying]))[8:]
    under = np.abs(grid - [0, 1, 4])[:, [0, 2]].max(1)
    assert (seen[under < 0.45] == 0).all() and (seen[under > 0.6] == 1).all()


def test_light_is_exposed_for_and_brighter_towards_the_lamp():
    rng = np.random.default_rng(0)
    u = rng.normal(size=(3000, 3))
    sphere = (u / np.linalg.norm(u, axis=1, keepdims=True)).astype(np.float32)
    from scipy.spatial import ConvexHull

    faces = ConvexHull(sphere).simplices.astype(np.int32)
    lights = sample_lights(rng)
    light = vertex_light(lights, sphere, sphere, faces).mean(1)
    key = lights.directions[lights.colors.sum(1).argmax()]
    assert light[sphere @ key > 0.8].mean() > 1.1 * light[sphere @ key < -0.8].mean()
    assert np.percentile(light, 85) == pytest.approx(lights.exposure, rel=0.05)


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in fabrics.PATTERNS])
def test_patterns_are_colours_and_repeat_from_their_seed(pattern):
    first, second = (np.asarray(pattern(np.random.default_rng(3), 64)) for _ in range(2))
    assert first.shape == (64, 64, 3)
    assert first.min() > -0.2 and first.max() < 1.3  # cloth is clipped after creases
    np.testing.assert_array_equal(first, second)
    cloth = fabrics.fabric(np.random.default_rng(1), 64)
    assert cloth.min() >= 0 and cloth.max() <= 1


def test_noise_is_periodic():
    noise = fabrics.smooth_noise(np.random.default_rng(0), 128, 5)
    inner = np.abs(np.diff(noise, axis=0)).max()
    assert np.abs(noise[0] - noise[-1]).max() <= inner * 1.01
    assert abs(noise.mean()) < 0.3


def test_recoloured_hair_keeps_its_holes():
    texture = np.full((8, 8, 4), 200, np.uint8)
    texture[:4, :, 3] = 0
    color = np.float32([0.5, 0.2, 0.1])
    out = skins.colored_hair(texture, color)
    np.testing.assert_array_equal(out[..., 3], texture[..., 3])
    np.testing.assert_allclose(out[6, 6, :3] / 255, color, atol=0.01)


def test_backgrounds_are_pictures_and_repeat_from_their_seed(tmp_path):
    people = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 4), dtype=np.uint8)
    pictures = [background(np.random.default_rng(k), 48, people=people) for k in range(40)]
    assert all(image.shape == (48, 48, 3) and image.dtype == np.float32 for image in pictures)
    assert all(image.min() >= 0 and image.max() <= 1 for image in pictures)
    assert np.std([image.mean() for image in pictures]) > 0.05
    np.testing.assert_array_equal(pictures[7], background(np.random.default_rng(7), 48, people=people))
    write_backgrounds(tmp_path / "set.npy", 3, seed=1, size=16)
    assert np.load(tmp_path / "set.npy").shape == (3, 16, 16, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["set.npy"]


def test_photos_are_small_jpeg_files(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (200, 150, 3), dtype=np.uint8)
    photos.write_photo(tmp_path / "a.jpg", image)
    content = (tmp_path / "a.jpg").read_bytes()
    assert len(content) <= photos.LIMIT
    assert Image.open(io.BytesIO(content)).size == (150, 200)


def test_scenes_are_pictures_of_many_kinds_and_repeat_from_their_seed():
    people = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 4), dtype=np.uint8)
    pictures = [scene(np.random.default_rng(k), 48, people=people) for k in range(60)]
    assert all(image.shape == (48, 48, 3) and image.dtype == np.float32 for image in pictures)
    assert all(image.min() >= 0 and image.max() <= 1 for image in pictures)
    np.testing.assert_array_equal(pictures[7], scene(np.random.default_rng(7), 48, people=people))
    edges = [np.abs(np.diff(image, axis=0)).mean() for image in pictures]
    plain = [np.abs(np.diff(background(np.random.default_rng(k), 48), axis=0)).mean() for k in range(60)]
    assert np.mean(edges) > 1.15 * np.mean(plain)  # what they are for: strong edges behind the person
