"""A surface moved across the picture until its outline is the mask's."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage, sparse
from scipy.spatial import KDTree

from turnaround.models.detail.sight import drawn
from turnaround.models.mesh.surface import Surface, adjacency
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import View

COVERED = 0.95  # of the mask: a little within its edge, where it begins to be soft
TURN = 15.0  # pixels that an outline which runs the other way is further away
FARTHEST = 32.0  # pixels, at a picture of 1,024, beyond which two outlines are not the same one
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
REACH = 12.0  # edges of the mesh over which a move fades out


def snap_outline(surface: Surface, view: View, rounds: int = 2) -> Surface:
    """Move vertices parallel to the picture so that the surface covers what the mask covers.

    Every piece of the drawn outline is pulled to the nearest piece of the mask's that runs the same way; the
    rest of the surface follows by a membrane whose moves fade out over REACH edges.

    Args:
        surface: in front of the view's camera, metres.
        view: mask and camera, any size.
        rounds: how often the outline is drawn anew.
    """
    edge, direction = _outline(view.mask.numpy() > COVERED)
    if len(edge) == 0:
        return surface
    tree = KDTree(np.concatenate([edge, TURN * direction], 1))
    for _ in range(rounds):
        surface = _pulled(surface, view, tree, edge)
    return surface


def _pulled(surface: Surface, view: View, tree: KDTree, edge: np.ndarray) -> Surface:
    face, _, _ = drawn(surface, view.camera)
    own, direction = _outline(face >= 0)
    if len(own) == 0:
        return surface
    far = FARTHEST * view.camera.width / 1024
    distance, nearest = tree.query(np.concatenate([own, TURN * direction], 1), distance_upper_bound=far)
    found = np.isfinite(distance)
    move = edge[np.asarray(nearest)[found]] - own[found]
    columns, rows = np.asarray(np.floor(own[found]), int).T
    corners: np.ndarray = surface.faces[face[rows, columns]]  # of the outline's pixels
    count = len(surface.vertices)
    total, weight = np.zeros((count, 2)), np.zeros(count)
    for k in range(3):
        np.add.at(total, corners[:, k], move)
        np.add.at(weight, corners[:, k], 1.0)
    wanted = total / np.maximum(weight, 1.0)[:, None]
    return _shifted(surface, view, _spread(surface, wanted, np.minimum(weight, 1.0)))


def _shifted(surface: Surface, view: View, pixels: Float[np.ndarray, "v 2"]) -> Surface:
    """The surface moved by so many pixels across the view."""
    camera = view.camera
    _, depth = project(torch.from_numpy(surface.vertices).float(), camera)
    focal = camera.K.numpy()[[0, 1], [0, 1]]
    sideways = pixels / focal * depth.numpy()[:, None]
    return Surface(
        surface.vertices + sideways @ camera.T_camera_world[:2, :3].numpy().astype(np.float64), surface.faces
    )


def _spread(
    surface: Surface, wanted: Float[np.ndarray, "v 2"], weight: Float[np.ndarray, " v"]
) -> Float[np.ndarray, "v 2"]:
    """The smooth moves nearest to those wanted: min sum w |d - wanted|^2 + |grad d|^2 + |d|^2 / REACH^2."""
    links = adjacency(surface).astype(np.float64)
    laplacian = sparse.diags(np.asarray(links.sum(1)).ravel()) - links
    pull = 4.0 * weight
    system = sparse.csr_array(laplacian + sparse.diags(pull + 6 / REACH**2))
    return _solved(system, pull[:, None] * wanted)


def _solved(
    system: sparse.csr_array, right: Float[np.ndarray, "v 2"], close: float = 1e-3, most: int = 200
) -> Float[np.ndarray, "v 2"]:
    """Conjugate gradients scaled by the diagonal, both columns at once.

    scipy's own waits in every step for the threads of three products of vectors, which on a busy machine
    takes most of its time.
    """
    scale = 1 / cast(np.ndarray, system.diagonal())[:, None]
    found, rest = np.zeros_like(right), right.copy()
    way = scale * rest
    energy = (rest * way).sum(0)
    enough = close**2 * (right * right).sum(0)
    for _ in range(most):
        if ((rest * rest).sum(0) <= enough).all():
            break
        forward = system @ way
        step = energy / np.maximum((way * forward).sum(0), 1e-30)
        found += step * way
        rest -= step * forward
        scaled = scale * rest
        before, energy = energy, (rest * scaled).sum(0)
        way = scaled + energy / np.maximum(before, 1e-30) * way
    return found


def _outline(mask: Bool[np.ndarray, "h w"]) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """Centres x, y of the mask's border pixels, and unit directions out of it."""
    inner = np.asarray(ndimage.minimum_filter(mask, footprint=CROSS, mode="nearest"), bool)
    border = mask & ~inner
    rows, columns = np.nonzero(border)
    soft = np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), 2.0))
    slope_y, slope_x = cast("tuple[np.ndarray, np.ndarray]", np.gradient(soft))
    out = -np.stack([slope_x[rows, columns], slope_y[rows, columns]], 1)
    out /= np.linalg.norm(out, axis=1, keepdims=True) + 1e-6
    return np.stack([columns + 0.5, rows + 0.5], 1), out
