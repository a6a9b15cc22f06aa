"""The stage `detail` without its layer, and what it says where the pictures show somebody else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from toy_textured import RADIUS, smooth

from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body, Gaussians, Mesh, View
from turnaround.stages.detail import Detail, DetailConfig

SIZE = 128
SMALL = {"size": SIZE, "views": 64, "steps": 2, "ring": False}


def ball_mesh() -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=RADIUS)
    vertices = torch.tensor(np.asarray(sphere.vertices), dtype=torch.float32)
    return Mesh(vertices, torch.tensor(np.asarray(sphere.faces)), smooth(vertices))


def red_view(azimuth: float) -> View:
    camera = orbit_cameras([azimuth], SIZE)[0]
    y, x = torch.meshgrid(torch.arange(SIZE) - SIZE / 2, torch.arange(SIZE) - SIZE / 2, indexing="ij")
    mask = ((x.square() + y.square()).sqrt() < 0.8 * SIZE * RADIUS / 2).float()
    return View(torch.tensor([1.0, 0, 0]) * mask[..., None] + 1 - mask[..., None], mask, camera)


def run(photo: View, **settings):
    mesh = ball_mesh()
    count = len(mesh.vertices)
    quats = torch.tensor([1.0, 0, 0, 0]).expand(count, 4).contiguous()
    blobs = Gaussians(mesh.vertices, quats, torch.full((count, 3), 0.02), torch.ones(count), mesh.colors)
    inputs = {"back": red_view(180), "gaussians": blobs, "mesh": mesh, "body": Body.neutral()}
    stage = Detail(DetailConfig(**{**SMALL, **settings}))
    return blobs, mesh, stage.run(device=torch.device("cpu"), photo=photo, **inputs)


def test_the_pictures_colours_lie_on_what_they_show():
    _, mesh, made = run(red_view(0))
    front = mesh.vertices[:, 2] < -0.8 * RADIUS  # what the photo looks straight at
    assert (made.mesh.colors[front] - torch.tensor([1.0, 0, 0])).abs().max() < 0.05
    assert torch.equal(made.mesh.vertices, mesh.vertices)
    assert made.views["000"][32, 32].tolist() == pytest.approx([1, 0, 0], abs=0.05)
    assert sorted(made.views) == [f"{azimuth:03d}" for azimuth in range(0, 360, 45)]


def test_without_the_layer_all_goes_on_as_it_is():
    blobs, mesh, made = run(red_view(0), layer=False)
    assert made.gaussians is blobs and made.mesh is mesh
    assert made.side_090.image.shape == (SIZE, SIZE, 3) and made.side_270.mask.max() > 0.9


def test_a_photo_of_nobody_is_told_with_the_remedy():
    nobody = red_view(0)
    nobody = replace(nobody, mask=torch.zeros_like(nobody.mask))
    with pytest.raises(StageError, match=r"do not overlap; --set stages\.detail\.layer=false"):
        run(nobody)
