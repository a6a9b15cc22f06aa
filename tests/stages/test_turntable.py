"""The turntable: a film that decodes to what was encoded, the same bytes twice, and a mesh drawn as it is."""

import subprocess

import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
import pytest
import torch
import trimesh

from turnaround.models.film import as_bytes
from turnaround.models.mesh.surface import Surface
from turnaround.models.mesh.view import mesh_pictures
from turnaround.models.texture.atlas import unwrap
from turnaround.models.texture.bake import bake
from turnaround.pipeline.formats.video import encode
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.types import Gaussians, Mesh, TexturedMesh, View
from turnaround.stages.turntable import Turntable

WHITE = torch.ones(1, 1, 3)


def ball(radius=0.4, subdivisions=4):
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    vertices = torch.tensor(np.asarray(sphere.vertices), dtype=torch.float32)
    colors = torch.where(vertices[:, :1] > 0, torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 0, 1.0]]))
    return Mesh(vertices, torch.tensor(np.asarray(sphere.faces)).long(), colors)


def splats(mesh):
    n = len(mesh.vertices)
    quats = torch.zeros(n, 4)
    quats[:, 0] = 1
    return Gaussians(mesh.vertices, quats, torch.full((n, 3), 0.01), torch.full((n,), 0.95), mesh.colors)


def decoded(film, tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(film)
    return np.stack(imageio.mimread(file, memtest=False))


def test_a_film_holds_its_frames_and_is_the_same_twice(tmp_path):
    frames = [torch.full((33, 40, 3), value) for value in (0.1, 0.5, 0.9)]
    film = encode(frames, fps=10)
    assert film == encode(frames, fps=10)
    found = decoded(film, tmp_path)
    assert found.shape == (3, 34, 40, 3)
    assert np.allclose(found[:, 4:28].mean((1, 2, 3)) / 255, [0.1, 0.5, 0.9], atol=0.03)
    with pytest.raises(ValueError, match="at least one frame"):
        encode([])


def test_pictures_are_rounded_to_bytes_as_numpy_does():
    pictures = torch.rand(2, 5, 7, 3, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    pictures[0, 0, 0] = torch.tensor([0.0, 1.0, 0.5])
    assert np.array_equal(
        as_bytes(pictures), np.floor(pictures.numpy().clip(0, 1) * np.float32(255) + 0.5).astype(np.uint8)
    )


def test_a_ball_has_its_outline_its_colours_and_normals_that_face_the_camera():
    mesh, camera = ball(), orbit_cameras([0, 180], 96)
    color = mesh_pictures(mesh, camera, "color")
    drawn = (color < 0.99).any(-1)
    expected = np.pi * (0.8 * 96 * 0.4 / np.sqrt(4 - 0.16)) ** 2  # a ball of radius 0.4 at 2 m
    assert drawn[0].sum().item() == pytest.approx(expected, rel=0.06)
    # red is at +x: on the right from the front, on the left from behind
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    assert (
        torch.allclose(color[0, 48, 58], red)
        and torch.allclose(color[1, 48, 38], red)
        and torch.allclose(color[0, 48, 38], blue)
    )
    normals = mesh_pictures(mesh, camera, "normals")
    assert torch.allclose(normals[:, 48, 48], torch.tensor([0.5, 0.5, 1.0]), atol=0.06)
    shaded = mesh_pictures(mesh, camera, "shaded")
    assert shaded[0, 40, 52].sum() > shaded[0, 56, 52].sum()  # light comes from above


def test_one_camera_shows_what_the_batch_shows():
    mesh = ball()
    both = mesh_pictures(mesh, orbit_cameras([0, 90], 48), "color")
    one = mesh_pictures(mesh, orbit_cameras([0], 48), "color")
    assert torch.equal(both[0], one[0])
    assert canonical_camera(48).width == 48


def test_the_stage_makes_a_film_of_both_halves_and_a_sheet(tmp_path):
    settings = {"frames": 4, "size": 160, "sheet_size": 64, "sheet_views": 2, "elevation": 0}
    mesh, textured, view = ball(), textured_ball(), inset_view()
    inputs = {
        "device": torch.device("cpu"),
        "gaussians": splats(mesh),
        "mesh": mesh,
        "textured": textured,
        "view": view,
    }
    made = Turntable(Turntable.Config(**settings, halves="both", inset=0)).run(**inputs)
    frames = decoded(made.turntable, tmp_path).astype(float) / 255
    assert frames.shape == (4, 160, 320, 3)
    left, right = (frames[:, :, :160] < 0.5).any(-1), (frames[:, :, 160:] < 0.5).any(-1)
    assert (left & right).sum() / (left | right).sum() > 0.8  # the halves show the same ball
    assert (right.sum(1) > 0).sum() > 0.85 * 4 * 160, "which fills the frame"
    assert made.sheet.shape[0] > 3 * 40 and torch.isfinite(made.sheet).all()
    alone = (
        decoded(Turntable(Turntable.Config(**settings)).run(**inputs).turntable, tmp_path).astype(float) / 255
    )
    assert alone.shape == (4, 160, 160, 3)
    green = (alone[..., 1] > 0.6) & (alone[..., 0] < 0.4)
    assert green[:, :40, :40].sum() > 4 * 100 and not green[:, 45:].any(), (
        "the photo's person is in the corner"
    )


def textured_ball():
    sphere = ball(subdivisions=3)
    atlas = unwrap(Surface(sphere.vertices.double().numpy(), sphere.faces.numpy()))
    origin = torch.from_numpy(atlas.origin)
    bare = TexturedMesh(
        sphere.vertices[origin],
        torch.from_numpy(atlas.faces),
        sphere.colors[origin],
        torch.from_numpy(atlas.uv),
        WHITE,
    )
    return bake(bare, [], 128)


def inset_view():
    mask = torch.zeros(64, 64)
    mask[10:50, 20:40] = 1
    return View(
        torch.tensor([0.1, 0.8, 0.1]) * mask[..., None] + 1 - mask[..., None], mask, canonical_camera(64)
    )


@pytest.mark.parametrize("color", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (1.0, 1, 1), (0.5, 0.3, 0.7)])
def test_colours_are_converted_and_tagged_as_bt709(tmp_path, color):
    """Decoded by the letter of BT.709 from the planes, and named so where players look."""
    film = encode([torch.tensor(color).expand(64, 64, 3)] * 3)
    place = film.index(b"colrnclx")
    assert film[place + 8 : place + 14] == bytes([0, 1, 0, 1, 0, 1]), (
        "primaries, transfer and matrix of BT.709"
    )
    file = tmp_path / "film.mp4"
    file.write_bytes(film)
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(file),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        "-",
    ]
    planes = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)[
        : 64 * 64 * 3 // 2
    ].astype(float)
    y, u, v = (
        (planes[32 * 64 + 32] - 16) / 219,
        (planes[4096 + 500] - 128) / 224,
        (planes[5120 + 500] - 128) / 224,
    )
    r, b = y + 1.5748 * v, y + 1.8556 * u
    np.testing.assert_allclose([r, (y - 0.2126 * r - 0.0722 * b) / 0.7152, b], color, atol=0.025)
    assert np.abs(decoded(film, tmp_path)[1, 32, 32] / 255 - color).max() < 0.025, (
        "ffmpeg's own reader follows the tags"
    )
