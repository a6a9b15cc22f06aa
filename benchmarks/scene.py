"""A person of capsules covered with flat Gaussians: the scene of the rendering benchmarks."""

from __future__ import annotations

import math

import numpy as np
import torch

from turnaround.pipeline.values.types import Gaussians

# ends (metres, y up, feet at 0) and radii; the limbs once, mirrored below
CENTRE = [
    ((0, 0.95, 0), (0, 1.35, 0), 0.15, 0.17),
    ((0, 1.35, 0), (0, 1.48, 0), 0.10, 0.06),
    ((0, 1.60, 0), (0, 1.66, 0), 0.095, 0.10),
    ((-0.09, 0.95, 0), (0.09, 0.95, 0), 0.13, 0.13),
]
LIMBS = [
    ((0.17, 1.40, 0), (0.33, 1.16, 0.02), 0.055, 0.045),
    ((0.33, 1.16, 0.02), (0.45, 0.95, 0.08), 0.042, 0.032),
    ((0.45, 0.95, 0.08), (0.50, 0.86, 0.10), 0.035, 0.03),
    ((0.09, 0.92, 0), (0.12, 0.50, 0.03), 0.085, 0.06),
    ((0.12, 0.50, 0.03), (0.14, 0.10, 0), 0.055, 0.04),
    ((0.14, 0.06, -0.03), (0.15, 0.04, 0.14), 0.045, 0.04),
]


def capsule_person(count: int, seed: int = 0, *, thickness: float = 0.35, overlap: float = 0.75) -> Gaussians:
    """`count` Gaussians on the surface, world frame (y down, pelvis near the origin, facing the canonical
    camera).

    Their standard deviation is `overlap` times their mean spacing, with a random spread, and `thickness`
    times that along the normal; most are nearly opaque.
    """
    rng = np.random.default_rng(seed)
    mirrored = [((-p[0], *p[1:]), (-q[0], *q[1:]), a, b) for p, q, a, b in LIMBS]
    capsules = CENTRE + LIMBS + mirrored
    areas = np.array(
        [2 * math.pi * ((a + b) / 2 * math.dist(p, q) + a * a + b * b) for p, q, a, b in capsules]
    )
    parts = [
        _surface(*capsule, n, rng)
        for capsule, n in zip(capsules, rng.multinomial(count, areas / areas.sum()), strict=True)
    ]
    points, normals = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    points, normals = (points - [0, 0.93, 0]) * [1, -1, -1], normals * [1, -1, -1]
    scales = (
        math.sqrt(areas.sum() / count) * overlap * np.exp(rng.normal(0, 0.3, (count, 3))) * [1, 1, thickness]
    )
    quats = np.concatenate(
        [1 + normals[:, 2:], np.cross(np.broadcast_to([0, 0, 1], normals.shape), normals)], 1
    )  # z to the normal
    quats[np.abs(quats).max(1) < 1e-6] = [0, 1, 0, 0]
    opacities = 1 / (1 + np.exp(-rng.normal(2.5, 1.0, count)))
    colors = np.clip(0.5 + 0.3 * np.sin(7 * points + rng.normal(0, 0.2, (count, 3))), 0, 1)
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    return Gaussians(
        *(torch.tensor(x, dtype=torch.float32) for x in (points, quats, scales, opacities, colors))
    )


def _surface(
    p, q, radius_p: float, radius_q: float, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points and unit normals on a capsule, about uniform."""
    p, q = np.array(p, float), np.array(q, float)
    length = np.linalg.norm(q - p)
    axis = (q - p) / length
    along = rng.uniform(-radius_p, length + radius_q, count)
    across = rng.normal(size=(count, 3))
    across -= np.outer(across @ axis, axis)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    held = np.clip(along, 0, length)
    radius = radius_p + (radius_q - radius_p) * held / length
    width = np.sqrt(np.maximum(radius**2 - (along - held) ** 2, 0))[:, None]
    normals = across * width + np.outer(along - held, axis)
    return p + np.outer(along, axis) + across * width, normals / np.maximum(
        np.linalg.norm(normals, axis=1, keepdims=True), 1e-9
    )
