"""Discs under the skin where it is drawn out in other poses: what a photo's Gaussians leave open between
them."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.binding.discs import discs, spread
from turnaround.models.body.turned import turned
from turnaround.pipeline.values.types import Body, Gaussians, TexturedMesh

STEP = 0.006  # metres between them in the pose that draws a face out most
SINK = 0.003  # metres below the surface, where others hide them as long as they are close
DRAWN = 1.3  # times the area of the photo's pose, from which on a face needs them

_PROBES: Final[tuple[dict[str, tuple[float, float, float]], ...]] = (
    {},
    {"left_shoulder": (0, 0, -60), "right_shoulder": (0, 0, 60)},
    {"left_shoulder": (0, 0, 60), "right_shoulder": (0, 0, -60), "left_collar": (0, 0, 20), "right_collar":
    (0, 0, -20)},
    {"left_shoulder": (0, -70, 0), "right_shoulder": (0, 70, 0), "left_elbow": (0, -110, 0), "right_elbow":
    (0, 110, 0)},
    {"left_hip": (-90, 0, 0), "right_hip": (-90, 0, 0), "left_knee": (110, 0, 0), "right_knee": (110, 0, 0)},
    {"left_hip": (-20, 0, 30), "right_hip": (20, 0, -30), "spine1": (20, 0, 0), "neck": (20, 0, 0)},
)  # fmt: skip
"""Poses that draw the skin out at every large joint: joint -> degrees about x, y, z."""


def probes(rest: Body) -> list[Body]:
    """A person's shape in the poses that draw the skin out."""
    return [turned(rest, angles) for angles in _PROBES]


def underlay(
    avatar: Avatar, photo: Float[np.ndarray, "f"]
) -> tuple[Gaussians, Int[np.ndarray, "g"], Float[np.ndarray, "g 3"]]:
    """Discs at rest under the faces that some pose draws out, with the face and the place on it of each.

    Args:
        avatar: the person; their mesh is looked at.
        photo: area of each face in the photo's pose, where the photo's Gaussians cover it.
    """
    largest = np.max([areas(avatar.posed_mesh(body)) for body in probes(avatar.rig.rest)], 0)
    needed = np.flatnonzero(largest > DRAWN * photo)
    corners = avatar.mesh.vertices[avatar.mesh.faces[torch.from_numpy(needed)]].double().numpy()
    resting = areas(avatar.mesh)[needed].clip(1e-12)
    # as many as the drawn-out face needs, in the face at rest
    places = spread(corners, STEP, density=largest[needed] / resting)
    faces = needed[places.face]
    colors = texture_at(avatar.mesh, faces, places.bary)
    return discs(corners, places, colors, STEP, sink=SINK), faces, places.bary


def areas(mesh: TexturedMesh) -> Float[np.ndarray, "f"]:
    """Of the faces, square metres."""
    a, b, c = mesh.vertices[mesh.faces].double().unbind(1)
    return (torch.linalg.cross(b - a, c - a).norm(dim=-1) / 2).numpy()


def texture_at(
    mesh: TexturedMesh, faces: Int[np.ndarray, "g"], bary: Float[np.ndarray, "g 3"]
) -> Float[np.ndarray, "g 3"]:
    """The texture's colours at places on faces (the nearest texel)."""
    uv = (mesh.uv[mesh.faces[torch.from_numpy(faces)]].double().numpy() * bary[..., None]).sum(1)
    size = mesh.texture.shape[0]
    column, row = np.floor(uv * size).astype(int).clip(0, size - 1).T
    return mesh.texture.numpy()[row, column].astype(np.float64)
