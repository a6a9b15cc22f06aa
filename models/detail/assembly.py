"""All pictures' Gaussians together: each piece of the surface from the picture that shows it best, and what
none shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage

from turnaround.models.detail.carrying import LEAST, seen
from turnaround.models.detail.panel import PRESENT, Panel
from turnaround.models.detail.surfels import OPAQUE, flat, surfels
from turnaround.models.exemplar.guidance import nearest
from turnaround.models.mesh.surface import Surface
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.rotation import quat_to_matrix
from turnaround.pipeline.values.types import Gaussians

PULL = 3  # pixels within the outline to which others are pulled
FARTHEST = 10  # pixels that they are pulled at most
SOLID = 0.9  # of the mask
FADE = (0.6, 0.9)  # of the mask, between which what sticks out fades
BEFORE = 0.005  # metres
EDGE = 2  # pixels
MARGIN = 0.9  # a picture keeps what another shows better by less


def owned(panels: Sequence[Panel], say: Sequence[float]) -> list[Bool[np.ndarray, "_ _"]]:
    """Pixels that each picture stands for: those whose surface no other picture shows better.

    Args:
        panels: the pictures.
        say: how much each one's cosine counts.
    """
    chosen = []
    for k, panel in enumerate(panels):
        there = panel.view.mask.numpy() > PRESENT
        points, normals = panel.points[there], panel.normal[there]
        others = [say[j] * seen(other, points, normals)[0] for j, other in enumerate(panels) if j != k]
        best = np.max(others, 0) if others else np.zeros(len(points))
        own = np.zeros(there.shape, bool)
        own[there] = (say[k] * panel.facing[there] >= MARGIN * best) | ~inner(panel)[there]
        chosen.append(own)
    return chosen


def inner(panel: Panel) -> Bool[np.ndarray, "h w"]:
    """Pixels that other pictures may have: away from the edge of a soft mask, which nothing else can draw."""
    mask = panel.view.mask.numpy()
    if not ((mask > 0.05) & (mask < 0.95)).any():  # a drawn mask has no soft edge
        return np.ones(mask.shape, bool)
    return ndimage.binary_erosion((mask > 0.95) & panel.sight.hit, iterations=EDGE)


def rest(panels: Sequence[Panel], surface: Surface, colors: Float[np.ndarray, "v 3"]) -> Gaussians:
    """A Gaussian for every face that no picture shows well."""
    corners = surface.vertices[surface.faces]
    centres = corners.mean(1)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = 0.5 * np.linalg.norm(across, axis=1)
    normals = across / (2 * area[:, None] + 1e-12)
    shown = np.max([seen(panel, centres, normals)[0] for panel in panels], 0)
    lost = shown < LEAST
    step = 1.3 * np.sqrt(2 * area[lost])
    eye = centres[lost] + normals[lost]  # seen from straight above, so that the discs are round
    return flat(
        centres[lost],
        normals[lost],
        eye,
        step,
        colors[surface.faces[lost]].mean(1),
        np.full(lost.sum(), OPAQUE),
    )


def pulled_in(gaussians: Gaussians, panel: Panel) -> Gaussians:
    """The Gaussians moved across a picture by some pixels where they would blur its outline.

    They only move along the rays of cameras that look along the picture: those from the sides see no
    difference.
    """
    camera, mask = panel.view.camera, panel.view.mask.numpy()
    inner = ndimage.minimum_filter(mask, 2 * PULL + 1) > SOLID
    if not inner.any():
        return gaussians
    pixels, depth = (t.numpy() for t in project(gaussians.means, camera))
    row, column = (np.floor(pixels[:, k]).astype(int).clip(0, mask.shape[1 - k] - 1) for k in (1, 0))
    target = (
        np.stack(nearest(inner, *[np.asarray(axis) for axis in np.indices(mask.shape)]), -1)[row, column][
            :, ::-1
        ]
        + 0.5
    )
    move = target - pixels
    move[inner[row, column] | (np.linalg.norm(move, axis=1) > FARTHEST)] = 0
    sideways = move / camera.K.numpy()[[0, 1], [0, 1]] * depth[:, None]
    return replace(
        gaussians, means=gaussians.means + torch.from_numpy(sideways).float() @ camera.T_camera_world[:2, :3]
    )


def trimmed(gaussians: Gaussians, panel: Panel) -> Gaussians:
    """The Gaussians without what a picture denies: what lies before its surface, and what sticks out of its
    mask.

    At the mask's edge they fade: their opacity falls with the least of the mask at their middle and their
    ends.
    """
    axes = (
        quat_to_matrix(gaussians.quats) * gaussians.scales[:, None]
    )  # columns: one standard deviation along each axis
    mask, least = panel.view.mask.numpy(), np.ones(len(gaussians))
    for axis, ends in ((0, 0.0), (0, 0.5), (0, -0.5), (1, 0.5), (1, -0.5)):
        pixels, _ = project(gaussians.means + ends * axes[..., axis], panel.view.camera)
        least = np.minimum(
            least, ndimage.map_coordinates(mask, pixels.numpy().T[::-1] - 0.5, order=1, mode="constant")
        )
    pixels, depth = project(gaussians.means, panel.view.camera)
    surface = ndimage.map_coordinates(panel.depth, pixels.numpy().T[::-1] - 0.5, order=0, mode="constant")
    inside = ((least - FADE[0]) / (FADE[1] - FADE[0])).clip(0, 1) * (depth.numpy() > surface - BEFORE)
    kept = torch.from_numpy(inside > 0.02)
    fields = (
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities * torch.from_numpy(inside).float(),
        gaussians.colors,
    )
    return Gaussians(*(field[kept] for field in fields))


def assemble(
    panels: Sequence[Panel],
    say: Sequence[float],
    surface: Surface,
    colors: Float[np.ndarray, "v 3"],
    *,
    merge: int,
    like: float,
) -> tuple[Gaussians, list[slice]]:
    """Gaussians of the whole person from pictures on the surface, the first of which has a mask that nothing
    may leave.

    Returns the Gaussians, and where those of each picture are among them.

    Args:
        panels: the pictures.
        say: how much each one's cosine counts where several show the same.
        surface: what they lie on.
        colors: of its vertices, for what no picture shows.
        merge, like: side of the largest block that becomes one Gaussian, and the range of its colours.
    """
    first, *others = [
        surfels(panel, own, merge, like) for panel, own in zip(panels, owned(panels, say), strict=True)
    ]
    others.append(rest(panels, surface, colors))
    parts = [first, *(trimmed(pulled_in(part, panels[0]), panels[0]) for part in others)]
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return Gaussians.cat(parts), [slice(a, b) for a, b in zip([0, *ends], ends[: len(panels)], strict=False)]
