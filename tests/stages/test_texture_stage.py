"""The texture stage from declared inputs to files, and the cameras that hold a person from all sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from toy_textured import RADIUS, smooth

from turnaround.models.previews import AZIMUTHS
from turnaround.pipeline.formats.codecs import codec_for
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import orbit_cameras, project
from turnaround.pipeline.values.close_orbit import close_orbit
from turnaround.pipeline.values.types import Mesh, View
from turnaround.stages.texture import Texture

CPU = torch.device("cpu")


def ball_mesh() -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=RADIUS)
    vertices = torch.tensor(np.asarray(sphere.vertices), dtype=torch.float32)
    return Mesh(vertices, torch.tensor(np.asarray(sphere.faces)), smooth(vertices))


def flat_view(azimuth: float, color: list[float], size: int = 128) -> View:
    camera = orbit_cameras([azimuth], size)[0]
    y, x = torch.meshgrid(torch.arange(size) - size / 2, torch.arange(size) - size / 2, indexing="ij")
    mask = ((x.square() + y.square()).sqrt() < 0.8 * size * RADIUS / 2).float()
    return View(torch.tensor(color) * mask[..., None] + 1 - mask[..., None], mask, camera)


def nothing_from(view: View) -> View:
    return View(torch.ones_like(view.image), torch.zeros_like(view.mask), view.camera)


def test_the_stage_bakes_photo_and_back_view(tmp_path):
    stage = Texture(Texture.Config(size=256, faces=2000, preview_size=128))
    red, blue = flat_view(0, [1.0, 0, 0]), flat_view(180, [0.0, 0, 1])
    inputs = {"device": CPU, "mesh": ball_mesh(), "photo": red, "back": blue}
    inputs |= {"right": flat_view(90, [0.0, 1, 0]), "left": nothing_from(flat_view(270, [0.0, 1, 0]))}
    made = stage.run(**inputs)
    assert len(made.mesh.faces) <= 2000
    previews = made.previews
    assert sorted(previews) == [f"{azimuth:03d}" for azimuth in AZIMUTHS]
    centre = {name: picture[64, 64].tolist() for name, picture in previews.items()}
    assert centre["000"] == pytest.approx([1, 0, 0], abs=0.02) and centre["180"] == pytest.approx(
        [0, 0, 1], abs=0.02
    )
    assert centre["090"] == pytest.approx([0, 1, 0], abs=0.02)
    truth = smooth(torch.tensor([[-RADIUS, 0, 0]]))[0].tolist()
    assert centre["270"] == pytest.approx(truth, abs=0.1), "what no view sees keeps the vertices' colours"
    again = stage.run(**inputs)
    assert all(
        torch.equal(a, b) for a, b in zip(vars(again.mesh).values(), vars(made.mesh).values(), strict=True)
    )
    for name, kind in stage.makes.items():
        codec_for(kind).save(getattr(made, name), tmp_path / f"{name}{codec_for(kind).suffix}")
    assert {"mesh.glb", "mesh.obj", "mesh.mtl", "atlas.png", "previews"} <= {
        p.name for p in tmp_path.iterdir()
    }


def test_a_mesh_without_faces_is_told():
    empty = Mesh(torch.zeros(1, 3), torch.zeros(0, 3, dtype=torch.long), torch.zeros(1, 3))
    view = flat_view(0, [1.0, 0, 0])
    with pytest.raises(StageError, match="0 faces"):
        Texture().run(device=CPU, mesh=empty, photo=view, back=view, right=view, left=view)


@pytest.mark.parametrize("elevation", [0.0, 5.0, 40.0])
def test_a_person_fills_the_frame_and_leaves_it_from_no_side(elevation):
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [0.9, 1.7, 0.4]
    ) + torch.tensor([0.3, -1, 0.2])
    cameras = close_orbit(points, [k * 15.0 for k in range(24)], 200, elevation=elevation)
    pixels, depth = project(points, cameras)
    assert pixels.min() > 0 and pixels.max() < 200 and depth.min() > 0.5
    widest = (pixels.amax((0, 1)) - pixels.amin((0, 1))).max().item()
    assert 0.90 * 200 < widest < 0.94 * 200
    assert torch.equal(cameras.K[0], cameras.K[-1]), "one lens"
    axis = torch.tensor([[*((points.min(0).values + points.max(0).values) / 2).tolist()]])
    at, _ = project(axis, cameras)
    assert (at - at[0]).abs().max() < 1e-2, "the axis stays where it is"
