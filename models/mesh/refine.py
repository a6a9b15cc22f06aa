"""Detail of an extracted mesh: its normals are pulled to normal maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from turnaround.models.mesh.silhouette import normal_difference, normal_maps, visible_faces
from turnaround.models.mesh.surface import Surface, mean_of_neighbours
from turnaround.pipeline.values.camera import rays
from turnaround.pipeline.values.types import Camera

REDRAW = 10  # iterations between two drawings of the visible faces


@dataclass(frozen=True)
class NormalTargets:
    """Normal maps that the mesh should show, one a camera."""

    cameras: Camera
    normals: Float[Tensor, "c h w 3"]  # world frame, unit, zero where unknown
    weight: Float[Tensor, "c h w"]  # [0, 1]


def refine_to_normals(
    surface: Surface,
    targets: NormalTargets,
    *,
    iterations: int = 40,
    lr: float = 4e-4,
    laplacian: float = 10.0,
    max_angle: float = 75.0,
) -> tuple[Surface, list[float]]:
    """Move vertices so that the rendered normals agree with `targets` (HGM, appendix: L1 + Laplacian).

    Args:
        surface: the mesh, metres.
        targets: normal maps and cameras.
        iterations: steps of Adam.
        lr: metres a step.
        laplacian: weight of the mean squared Laplacian of the displacement in cm, beside the L1 of the
        normals. max_angle: degrees; pixels where the map and the mesh disagree by more count nothing: there
        it is another surface.

    A pixel counts by the squared cosine at which its camera sees the surface: at a grazing angle maps are
    noise.

    Returns:
        The moved mesh and the L1 of the normals at each iteration.
    """
    start = torch.from_numpy(surface.vertices).float()
    faces = np.ascontiguousarray(surface.faces, np.int32)
    bend = sparse.identity(len(start)) - mean_of_neighbours(surface)  # the uniform Laplacian
    stiffness = (bend.T @ bend).astype(np.float32).tocsr() * (laplacian * 100**2 / len(start))
    shift = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=lr, betas=(0.9, 0.95))
    trace: list[float] = []
    visible = visible_faces(start, faces, targets.cameras)
    agree = (normal_maps(start, faces, targets.cameras, visible) * targets.normals).sum(-1) > np.cos(
        np.deg2rad(max_angle)
    )
    weight = targets.weight * agree * _facing(targets) ** 2
    share = 1 / weight.sum().clamp(min=1)
    for step in range(iterations):
        if step and step % REDRAW == 0:
            visible = visible_faces(start + shift, faces, targets.cameras)
        data = share * normal_difference(start + shift, faces, visible, targets.normals, weight)[0]
        optimizer.zero_grad()
        data.backward()
        # the Laplacian's gradient in closed form: scipy's sparse product is several times faster than torch's
        shift.grad += torch.from_numpy(2 * (stiffness @ shift.detach().numpy()))  # type: ignore[operator]
        optimizer.step()
        trace.append(data.item())
    return Surface((start + shift.detach()).double().numpy(), surface.faces), trace


def _facing(targets: NormalTargets) -> Float[Tensor, "c h w"]:
    """Cosines between the maps' normals and the ways back to the camera, 0 from behind."""
    return (
        -(targets.normals * torch.nn.functional.normalize(rays(targets.cameras), dim=-1)).sum(-1).clamp(max=0)
    )
