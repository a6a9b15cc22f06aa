"""The true person of a seed as something to rig: what a perfect reconstruction would give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from turnaround.data.people import Figure
from turnaround.flows.evaluation.pictures.poses import PosedPerson, true_figure
from turnaround.flows.evaluation.suite import seen_faces
from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.rigging import make_rig
from turnaround.models.body.model import BodyModel
from turnaround.models.detail.surfels import OPAQUE, flat
from turnaround.pipeline.values.camera import camera_center, orbit_cameras
from turnaround.pipeline.values.types import Camera, Gaussians, TexturedMesh

SIZE, AZIMUTHS, ELEVATIONS = 384, 8, (0.0, 45.0, -45.0)  # of the cameras that scan the person
CELL = 0.003  # metres: of several pixels of one place one is kept


def true_avatar(model: BodyModel, person: PosedPerson) -> Avatar:
    """The true person rigged as a reconstruction is, with the true body."""
    figure = true_figure(person.seed)
    faces = torch.from_numpy(seen_faces(figure).astype(np.int64))
    vertices = torch.from_numpy(figure.vertices)
    count = len(vertices)
    blank = torch.full((count, 3), 0.5), torch.full((count, 2), 0.5), torch.full((8, 8, 3), 0.5)
    colors, uv, texels = blank
    mesh = TexturedMesh(vertices, faces, colors, uv, texels)
    return make_rig(model, person.body, mesh, scanned(figure))[0]


def scanned(figure: Figure) -> Gaussians:
    """A disc for each place of the person that a camera around them sees."""
    rings = [orbit_cameras(_turn(), SIZE, elevation=[up] * AZIMUTHS) for up in ELEVATIONS]
    seen = [_seen(figure, ring[k]) for ring in rings for k in range(AZIMUTHS)]
    points, normals, colors, eyes, step = (np.concatenate(part) for part in zip(*seen, strict=True))
    _, kept = np.unique(np.floor(points / CELL).astype(np.int64), axis=0, return_index=True)
    parts = [
        flat(points[one], normals[one], eyes[one[0]], step[one], colors[one], np.full(len(one), OPAQUE))
        for one in _by_eye(kept, eyes)
    ]
    return Gaussians.cat(parts)


def _turn() -> Sequence[float]:
    return [k * 360.0 / AZIMUTHS for k in range(AZIMUTHS)]


def _by_eye(kept: np.ndarray, eyes: Float[np.ndarray, "n 3"]) -> list[np.ndarray]:
    """The kept points in groups of one camera each."""
    _, group = np.unique(eyes[kept], axis=0, return_inverse=True)
    group = group.reshape(-1)
    return [kept[group == k] for k in range(group.max() + 1)]


def _seen(figure: Figure, camera: Camera) -> tuple[np.ndarray, ...]:
    """Points, normals, colours, the camera and the distance of pixels there, of all that one camera sees."""
    K, T = camera.K.double().numpy(), camera.T_camera_world.double().numpy()
    picture = figure.seen_from(camera.K.numpy(), camera.T_camera_world.numpy(), SIZE)
    row, column = np.nonzero((picture.depth > 0) & (picture.alpha > 250))
    depth = picture.depth[row, column].astype(np.float64)
    x = (column + 0.5 - K[0, 2]) / K[0, 0] * depth
    y = (row + 0.5 - K[1, 2]) / K[1, 1] * depth
    points = (np.stack([x, y, depth], -1) - T[:3, 3]) @ T[:3, :3]
    eye = np.broadcast_to(camera_center(camera).double().numpy(), points.shape)
    colors = picture.color[row, column].astype(np.float64) / 255
    step = np.maximum(depth / K[0, 0], CELL)
    return points, picture.normal[row, column].astype(np.float64), colors, eye, step
