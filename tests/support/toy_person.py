"""A work folder with one small subject, put together without the pipeline: lopsided coloured blobs that no
mirror image equals."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from turnaround.flows.subjects import memory
from turnaround.pipeline.store.recipe import Recipe
from turnaround.pipeline.store.store import Store
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import Body, Gaussians, Mesh, TexturedMesh, View

# centre in the world (x right, y down, z away from the input camera), radius in metres, sRGB
BLOBS = (
    ((0.0, 0.0, 0.0), 0.22, (0.8, 0.8, 0.2)),  # trunk
    ((0.0, -0.5, 0.0), 0.13, (0.2, 0.7, 0.2)),  # head, above
    ((-0.45, -0.1, 0.0), 0.10, (0.9, 0.1, 0.1)),  # at the picture's left
    ((0.1, 0.1, -0.3), 0.08, (0.1, 0.2, 0.9)),  # before the trunk
)
ITERATIONS = 3


def gaussians(seed: int = 0, count: int = 500) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for center, radius, color in BLOBS:
        directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
        quats = torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=-1)
        scales = radius * (0.08 + 0.08 * torch.rand(count, 3, generator=generator))
        means = torch.tensor(center) + radius * directions
        parts.append(
            Gaussians(
                means, quats, scales, torch.full((count,), 0.9), torch.tensor(color).expand(count, 3).clone()
            )
        )
    return Gaussians.cat(parts)


def mesh() -> Mesh:
    """An octahedron for each blob."""
    corners = torch.tensor(
        [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=torch.float32
    )
    faces = torch.tensor(
        [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
    )
    vertices = torch.cat([torch.tensor(center) + radius * corners for center, radius, _ in BLOBS])
    colors = torch.cat([torch.tensor(color).expand(6, 3) for *_, color in BLOBS])
    return Mesh(vertices, torch.cat([faces + 6 * k for k in range(len(BLOBS))]), colors.contiguous())


def textured() -> TexturedMesh:
    """The same, each blob's faces in a corner of the texture of its own, which has its colour."""
    m = mesh()
    corner = torch.arange(len(m.vertices)) // 6
    uv = torch.stack([0.25 + 0.5 * (corner % 2), 0.25 + 0.5 * (corner // 2)], -1)
    texture = (
        torch.tensor([color for *_, color in BLOBS])
        .reshape(2, 1, 2, 1, 3)
        .expand(2, 32, 2, 32, 3)
        .reshape(64, 64, 3)
    )
    return TexturedMesh(m.vertices, m.faces, m.colors, uv, texture)


def path() -> Body:
    """The estimate and three iterations, a little to the right each."""
    batch = Body.neutral(ITERATIONS + 1)
    transl = batch.transl.clone()
    transl[:, 0] = 0.1 * torch.arange(ITERATIONS + 1)
    return dataclasses.replace(batch, transl=transl)


def outputs() -> dict[str, dict[str, tuple[str, Any]]]:
    """stage -> output -> kind and value."""
    bodies, size = path(), 64
    picture = torch.rand(size, size, 3, generator=torch.Generator().manual_seed(1))
    losses = [
        {"iteration": k, "total": 1.0 / (k + 1), "front": 0.5 / (k + 1), "sides": 0.0}
        for k in range(ITERATIONS)
    ]
    quality = {"front_iou": 0.8, "keypoints_px": 1.5, "sides_iou": None}
    trace = {
        "iterations": losses,
        "kept": "iteration 2",
        "before": quality,
        "after": quality | {"front_iou": 0.9},
        "poor_fit": [],
    }
    return {
        "prepare": {"view": ("View", View(picture, torch.ones(size, size), canonical_camera(size)))},
        "estimate": {"body": ("Body", bodies[0])},
        "coarse": {"gaussians": ("Gaussians", gaussians(1))},
        "refine": {
            "gaussians": ("Gaussians", gaussians(2)),
            "body": ("Body", bodies[2]),
            "path": ("Body", bodies),
            "trace": ("Trace", trace),
        },
        "fuse": {"gaussians": ("Gaussians", gaussians(3))},
        "mesh": {"mesh": ("Mesh", mesh())},
        "detail": {"gaussians": ("Gaussians", gaussians(0)), "mesh": ("Mesh", mesh())},
        "texture": {"mesh": ("TexturedMesh", textured())},
        "turntable": {"turntable": ("Video", b"film")},
    }


def make(
    root: Path, name: str = "toy", *, without: tuple[str, ...] = (), failures: dict[str, str] | None = None
) -> Path:
    """A work folder whose subject has all stages but `without`."""
    store = Store(root)
    store.prepare()
    photo = root / f"{name}.jpg"
    photo.write_bytes(b"a photo")
    memory.remember(root, name, memory.Memory(str(photo), failures=failures or {}))
    for position, (stage, made) in enumerate(outputs().items(), 1):
        if stage in without:
            continue
        kinds = {output: kind for output, (kind, _) in made.items()}
        values = {output: value for output, (_, value) in made.items()}
        recipe = Recipe(stage, 1, {"body": "body"}, {}, {})
        record = store.save(recipe, kinds, values, {"seconds": 0.0, "device": "cpu", "packages": {}})
        store.link(name, position, record)
    return root
