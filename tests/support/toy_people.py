"""Small training sets as the generator writes them: grey bodies, plain backgrounds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.crop import project_plane
from turnaround.models.mesh.silhouette import body_masks
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body

VIEWS = 12


def write_singles(folder: Path, count: int = 20, size: int = 64) -> Path:
    """A singles set: boxes for people, joints of bodies near the T pose."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    body = dataclasses.replace(
        Body.neutral(count), body_pose=0.1 * torch.randn(count, 21, 3, generator=generator)
    )
    rgba = np.zeros((count, size, size, 4), np.uint8)
    rgba[:, size // 5 : -size // 5, 3 * size // 8 : -3 * size // 8] = 200
    np.save(folder / "rgba.npy", rgba)
    joints = BodyModel.load()(body).joints
    np.save(folder / "joints.npy", joints.numpy())
    np.save(folder / "joints_uv.npy", (project_plane(joints).numpy() + 1) / 2)
    np.save(folder / "joint_visible.npy", np.ones((count, 55), bool))
    for field in dataclasses.fields(Body):
        np.save(folder / f"body_{field.name}.npy", getattr(body, field.name).numpy())
    return folder


def write_backgrounds(file: Path, size: int = 64) -> Path:
    np.save(file, np.random.default_rng(0).integers(0, 255, (24, size, size, 3), np.uint8))
    return file


def write_views(folder: Path, people: int = 3, size: int = 64) -> Path:
    """A views set: grey bodies that are darker seen from behind, with depth and normals."""
    folder.mkdir(parents=True, exist_ok=True)
    model = BodyModel.load()
    for person in range(people):
        generator = torch.Generator().manual_seed(person)
        body = dataclasses.replace(
            Body.neutral(),
            betas=torch.randn(10, generator=generator),
            body_pose=0.15 * torch.randn(21, 3, generator=generator),
            global_orient=torch.tensor([torch.pi, 0.1, 0.05]),
            transl=torch.tensor([0.05, 0.3, -0.04]),
        )
        vertices = model(body).vertices
        cameras = orbit_cameras([30.0 * k for k in range(VIEWS)], size)
        mask = body_masks(vertices, model.skin_faces.numpy(), cameras)
        shade = torch.tensor([0.6 + 0.2 * np.cos(np.pi * k / 6) for k in range(VIEWS)])[:, None, None, None]
        rgb = (shade * mask[..., None] + 1 - mask[..., None]).expand(-1, -1, -1, 3)
        towards = -cameras.T_camera_world[:, 2, :3]  # of the viewer, world frame
        normal = towards[:, None, None] * (mask > 0.5)[..., None]
        pictures = {
            "rgb": (rgb * 255).byte().numpy(),
            "mask": (mask * 255).byte().numpy(),
            "depth": (2 * (mask > 0.5)).half().numpy(),
            "normal": (normal * 127).round().to(torch.int8).numpy(),
            "azimuths": np.arange(VIEWS, dtype=np.float32) * 30,
            "K": cameras.K.numpy(),
            "T_camera_world": cameras.T_camera_world.numpy(),
            "joints": model(body).joints.numpy(),
            "meta": np.array([json.dumps({"split": "train"})]),
        }
        parameters = {f"body_{f.name}": getattr(body, f.name).numpy() for f in dataclasses.fields(Body)}
        np.savez(folder / f"{person:07d}.npz", **pictures, **parameters)  # type: ignore[arg-type]
    return folder
