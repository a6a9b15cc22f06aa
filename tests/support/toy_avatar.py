"""The body itself as a person to rig: its skin in a flat texture, a Gaussian on every vertex."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
import toy_person

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.binding.transfer import strongest, with_twists
from turnaround.models.avatar.bones import rest_bones
from turnaround.models.avatar.displacement import rest_vertices
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.exemplar.parts import PARTS, vertex_labels
from turnaround.pipeline.store.recipe import Recipe
from turnaround.pipeline.store.store import Store
from turnaround.pipeline.values.rig import Rig, SkinWeights
from turnaround.pipeline.values.types import Body, Gaussians, TexturedMesh

TILE = 8  # texels of a part's square in the texture, which has 4 by 4 of them
MODEL = BodyModel.shared()


def pose(**degrees: tuple[float, float, float]) -> Body:
    """The neutral body with joints turned by degrees about x, y, z."""
    body = Body.neutral()
    turned = body.body_pose.clone()
    for joint, angles in degrees.items():
        turned[JOINT_INDEX[joint] - 1] = torch.deg2rad(torch.tensor(angles, dtype=torch.float32))
    return replace(body, body_pose=turned, transl=torch.tensor([0.1, 0.05, -0.2]))


STANDING = pose(
    left_shoulder=(0, 0, -50), right_shoulder=(0, 0, 55), left_knee=(15, 0, 0), left_elbow=(0, -20, 0)
)


def person(body: Body) -> tuple[TexturedMesh, Gaussians]:
    """Mesh and Gaussians of the skin."""
    vertices = MODEL(body).vertices
    used, index = torch.unique(MODEL.skin_faces, return_inverse=True)
    points = vertices[used].contiguous()
    count = len(points)
    colors = torch.rand(count, 3, generator=torch.Generator().manual_seed(0))
    mesh = TexturedMesh(points, index, colors, torch.full((count, 2), 0.5), torch.ones(8, 8, 3))
    quats = torch.nn.functional.normalize(
        torch.randn(count, 4, generator=torch.Generator().manual_seed(1)), dim=-1
    )
    gaussians = Gaussians(points, quats, torch.full((count, 3), 0.004), torch.ones(count), colors)
    return mesh, gaussians


def palette() -> torch.Tensor:
    """A colour a part of the body, none grey: (p, 3)."""
    return 0.2 + 0.6 * torch.rand(len(PARTS), 3, generator=torch.Generator().manual_seed(5))


@lru_cache(maxsize=2)
def avatar(every: int = 4) -> Avatar:
    """The mean body in its parts' colours, a Gaussian on each `every`th vertex of its skin."""
    model, rest = MODEL, Body.neutral()
    vertices, labels = rest_vertices(model, rest), torch.from_numpy(vertex_labels(model)).long()
    used, faces = model.skin_faces.unique(return_inverse=True)
    ids, kept = strongest(with_twists(model, rest)[used.numpy()])
    skin = SkinWeights(torch.from_numpy(ids).long(), torch.from_numpy(kept).float())
    colors = palette()
    square = torch.zeros(4, 4, 3)
    square.view(16, 3)[: len(PARTS)] = colors
    texture = square.repeat_interleave(TILE, 0).repeat_interleave(TILE, 1)
    own = labels[used]
    uv = (torch.stack([own % 4, own // 4], -1) + 0.5) / 4
    mesh = TexturedMesh(vertices[used], faces, colors[own], uv, texture)
    some = torch.arange(0, len(used), every)
    count = len(some)
    gaussians = Gaussians(
        vertices[used][some],
        torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        torch.full((count, 3), 0.008),
        torch.full((count,), 0.9),
        colors[own[some]],
    )
    photo = replace(rest, transl=torch.tensor([0.0, 0.3, 0.1]))
    return Avatar(model, Rig(rest, photo, rest_bones(model, rest), skin, skin[some]), mesh, gaussians)


def make(root: Path, name: str = "toy", every: int = 4) -> Path:
    """The work folder of `toy_person.make` with the stage `rig` done."""
    toy_person.make(root, name)
    add_rig(root, name, every)
    return root


def add_rig(root: Path, name: str, every: int = 4) -> None:
    """The stage `rig` of a subject."""
    made = avatar(every)
    picture = torch.rand(16, 16, 3, generator=torch.Generator().manual_seed(2))
    kinds = {
        "rig": "Rig", "mesh": "TexturedMesh", "gaussians": "Gaussians", "previews": "Images", "report":
        "Trace",
    }  # fmt: skip
    values = {
        "rig": made.rig, "mesh": made.mesh, "gaussians": made.gaussians, "previews": {"t_000": picture},
        "report": {"cut_faces": 0, "caps": 0, "cap_gaussians": 0},
    }  # fmt: skip
    store = Store(root)
    about = {"seconds": 0.0, "device": "cpu", "packages": {}}
    record = store.save(Recipe("rig", 4, {"body": "body"}, {}, {}), kinds, values, about)
    store.link(name, 11, record)
