"""Detail and colour of an extracted mesh: its normals are pulled to normal maps, its vertices painted from the views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from models.silhouette import normal_maps, vertex_normals, visible_faces
from models.surface import Surface, adjacency
from models.tsdf import DepthViews
from pipeline.camera import project
from pipeline.types import Camera

REDRAW = 10  # iterations between two drawings of the visible faces


@dataclass(frozen=True)
class NormalTargets:
    """Normal maps that the mesh should show, one a camera."""

    cameras: Camera
    normals: Float[Tensor, "c h w 3"]  # world frame, unit, zero where unknown
    weight: Float[Tensor, "c h w"]  # [0, 1]


def refine_to_normals(
    surface: Surface, targets: NormalTargets, *, iterations: int = 40, lr: float = 4e-4, laplacian: float = 3.0, max_angle: float = 75.0
) -> tuple[Surface, list[float]]:
    """Move vertices so that the rendered normals agree with `targets` (HGM, appendix: L1 + Laplacian).

    Args:
        surface: the mesh, metres.
        targets: normal maps and cameras.
        iterations: steps of Adam.
        lr: metres a step.
        laplacian: weight of the mean squared Laplacian of the displacement in cm, beside the L1 of the normals.
        max_angle: degrees; pixels where the map and the mesh disagree by more count nothing: there it is another surface.

    Returns:
        The moved mesh and the L1 of the normals at each iteration.
    """
    start = torch.from_numpy(surface.vertices).float()
    faces = np.ascontiguousarray(surface.faces, np.int32)
    bend = sparse.identity(len(start)) - _mean_of_neighbours(surface)  # the uniform Laplacian
    stiffness = (bend.T @ bend).astype(np.float32).tocsr() * (laplacian * 100**2 / len(start))
    shift = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=lr, betas=(0.9, 0.95))
    trace: list[float] = []
    visible, weight = visible_faces(start, faces, targets.cameras), targets.weight
    for step in range(iterations):
        if step and step % REDRAW == 0:
            visible = visible_faces(start + shift, faces, targets.cameras)
        normals = normal_maps(start + shift, faces, targets.cameras, visible)
        if step == 0:
            agree = (normals.detach() * targets.normals).sum(-1) > np.cos(np.deg2rad(max_angle))
            weight = targets.weight * agree
        data = ((normals - targets.normals).abs().sum(-1) * weight).sum() / weight.sum().clamp(min=1)
        optimizer.zero_grad()
        data.backward()
        # the Laplacian's gradient in closed form: scipy's sparse product is several times faster than torch's
        shift.grad += torch.from_numpy(2 * (stiffness @ shift.detach().numpy()))  # type: ignore[operator]
        optimizer.step()
        trace.append(data.item())
    return Surface((start + shift.detach()).double().numpy(), surface.faces), trace


def _mean_of_neighbours(surface: Surface) -> sparse.csr_matrix:
    matrix = adjacency(surface)
    return sparse.diags(1 / np.maximum(matrix.sum(1), 1)) @ matrix


@torch.no_grad()
def paint(surface: Surface, views: DepthViews, *, tolerance: float = 0.02, sharpness: float = 4.0) -> Float[Tensor, "v 3"]:
    """Vertex colours: the mean over the views that see the vertex, by the cosine of the angle to the power of `sharpness`.

    A view sees a vertex when its depth is within `tolerance` metres of the rendered one; a vertex that nothing sees takes
    the mean colour of its neighbours.
    """
    vertices = torch.from_numpy(surface.vertices).float()
    faces = torch.from_numpy(np.ascontiguousarray(surface.faces, np.int64))
    normals = vertex_normals(vertices, faces)
    total, weights = torch.zeros(len(vertices), 3), torch.zeros(len(vertices))
    for k in range(len(views.alpha)):
        camera = views.cameras[k]
        pixels, depth = project(vertices, camera)
        sampled = _sample(torch.cat([views.color[k], views.alpha[k][..., None], views.raw_depth[k][..., None]], -1), pixels)
        to_camera = F.normalize(-camera.T_camera_world[:3, :3].T @ camera.T_camera_world[:3, 3] - vertices, dim=-1)
        facing = (normals * to_camera).sum(-1).clamp(min=0)
        seen = ((sampled[:, 4] - depth).abs() < tolerance) & (sampled[:, 3] > 0.7)
        weight = facing**sharpness * seen
        total += weight[:, None] * sampled[:, :3]
        weights += weight
    return _spread(total, weights, _mean_of_neighbours(surface))


def _sample(image: Float[Tensor, "h w c"], pixels: Float[Tensor, "n 2"]) -> Float[Tensor, "n c"]:
    height, width = image.shape[:2]
    grid = pixels / pixels.new_tensor([width, height]) * 2 - 1
    return F.grid_sample(image.permute(2, 0, 1)[None], grid[None, None], align_corners=False)[0, :, 0].T


def _spread(total: Float[Tensor, "v 3"], weights: Float[Tensor, " v"], mean: sparse.csr_matrix, rounds: int = 60) -> Float[Tensor, "v 3"]:
    """Colours where there is weight; elsewhere they flow in from the neighbours, grey where none ever come."""
    known = weights.numpy() > 1e-4
    colors = np.where(known[:, None], total.numpy() / np.maximum(weights.numpy(), 1e-4)[:, None], 0.0)
    for _ in range(rounds):
        share = mean @ known.astype(np.float64)
        reached = ~known & (share > 0)
        if not reached.any():
            break
        colors[reached] = (mean @ colors)[reached] / share[reached, None]  # unknown colours are 0
        known |= reached
    colors[~known] = 0.5
    return torch.from_numpy(colors).float().clamp(0, 1)
