"""The colours that some pictures show of what another camera sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage

from turnaround.models.detail.panel import Panel
from turnaround.pipeline.values.camera import camera_center, project

TOLERANCE = 0.012  # metres between a point and what a picture shows there
STEPS = 1.5  # pixels of a slope, where that is more
LEAST = 0.25  # cosine below which a picture's colours are not carried


def carried(
    panels: Sequence[Panel],
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    power: float = 4.0,
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """Mean colour of the points over the pictures that show them, and the sum of weights: facing to `power`;
    0 where none does."""
    total, weight = np.zeros((len(points), 3)), np.zeros(len(points))
    for panel in panels:
        colors, seen = shown(panel, points, normals)
        seen = seen**power
        total += seen[:, None] * colors
        weight += seen
    return total / np.maximum(weight, 1e-9)[:, None], weight


def shown(
    panel: Panel, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """One picture's colours of the points, and the cosine at which it sees them: 0 where it does not, or not
    for sure."""
    cosine, at = seen(panel, points, normals)
    nearest = tuple(np.round(at).astype(int))
    image = panel.colors
    colors = np.stack(
        [ndimage.map_coordinates(image[..., c], at, order=1, mode="nearest") for c in range(3)], 1
    )
    return colors, np.where((cosine > LEAST) & panel.sure[nearest], cosine, 0)


def seen(
    panel: Panel, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "2 n"]]:
    """The cosine at which a picture shows the points, 0 where it shows something else, and their row and
    column within it."""
    camera = panel.view.camera
    pixels, depth = (
        t.numpy() for t in project(torch.from_numpy(np.ascontiguousarray(points)).float(), camera)
    )
    place = pixels.T[::-1] - 0.5
    limit = np.array([[camera.height - 1], [camera.width - 1]])
    at = place.clip(0, limit)
    found = panel.depth[tuple(np.round(at).astype(int))]
    way = camera_center(camera).numpy() - points
    cosine = (normals * way).sum(1) / (np.linalg.norm(way, axis=1) + 1e-9)
    # within a pixel a slope's depth changes by so much
    step = depth / float(camera.K[0, 0]) / cosine.clip(LEAST, 1)
    there = (
        (found > 0)
        & (np.abs(found - depth) < np.maximum(TOLERANCE, STEPS * step))
        & (np.abs(place - at) < 1).all(0)
    )
    return np.where(there, cosine.clip(0, 1), 0), at
