"""The turntable: a film that decodes to what was encoded, the same bytes twice, and a mesh drawn as it is."""

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
import trimesh

from models.mesh_view import mesh_pictures
from pipeline.camera import canonical_camera, orbit_cameras
from pipeline.types import Gaussians, Mesh
from pipeline.video import encode
from stages.turntable import Turntable


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


def test_a_ball_has_its_outline_its_colours_and_normals_that_face_the_camera():
    mesh, camera = ball(), orbit_cameras([0, 180], 96)
    color = mesh_pictures(mesh, camera, "color")
    drawn = (color < 0.99).any(-1)
    expected = np.pi * (0.8 * 96 * 0.4 / np.sqrt(4 - 0.16)) ** 2  # a ball of radius 0.4 at 2 m
    assert drawn[0].sum().item() == pytest.approx(expected, rel=0.06)
    # red is at +x: on the right from the front, on the left from behind
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    assert torch.allclose(color[0, 48, 58], red) and torch.allclose(color[1, 48, 38], red) and torch.allclose(color[0, 48, 38], blue)
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
    stage = Turntable(Turntable.Config(frames=4, size=160, sheet_size=64, sheet_views=2, elevation=0))
    mesh = ball()
    made = stage.run(device=torch.device("cpu"), gaussians=splats(mesh), mesh=mesh)
    frames = decoded(made["turntable"], tmp_path).astype(float) / 255
    assert frames.shape == (4, 160, 320, 3)
    left, right = (frames[:, :, :160] < 0.5).any(-1), (frames[:, :, 160:] < 0.5).any(-1)
    assert (left & right).sum() / (left | right).sum() > 0.8  # the halves show the same ball
    assert made["sheet"].shape[1] == 2 * 64 and torch.isfinite(made["sheet"]).all()
