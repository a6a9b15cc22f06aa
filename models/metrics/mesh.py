"""Mesh metrics in centimetres: Chamfer, point to surface both ways, normal consistency, F-score.

Samples are area-weighted, 100,000 a mesh. Points are compared with sampled points of the other surface, whose
spacing (about 2 mm) is far below the errors that are measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial import KDTree

from turnaround.models.metrics.body import similarity_transform

SAMPLES = 100_000


@dataclass(frozen=True)
class Surface:
    """Points with unit normals, sampled from a mesh."""

    points: np.ndarray  # (n, 3) metres
    normals: np.ndarray  # (n, 3)

    @cached_property
    def tree(self) -> KDTree:
        """The points, to be searched; leaves this large are a third faster to search than scipy's own."""
        return KDTree(self.points, leafsize=24)

    def moved(self, scale: float, R: np.ndarray, t: np.ndarray) -> Surface:
        """The surface after x -> scale R x + t."""
        return Surface(scale * self.points @ R.T + t, self.normals @ R.T)


def sample_surface(vertices: np.ndarray, faces: np.ndarray, count: int = SAMPLES, seed: int = 0) -> Surface:
    """Points spread evenly by area; raises ValueError for a mesh without area."""
    rng = np.random.default_rng(seed)
    corners = vertices[faces].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    if not area.sum() > 0:
        raise ValueError(f"a mesh of {len(faces)} faces without area cannot be sampled")
    edges = np.cumsum(area) / area.sum()
    chosen = np.minimum(
        np.searchsorted(edges, (np.arange(count) + rng.random(count)) / count), len(faces) - 1
    )
    u, v = rng.random((2, count))
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    a, b, c = corners[chosen].transpose(1, 0, 2)
    points = a + u[:, None] * (b - a) + v[:, None] * (c - a)
    return Surface(points, cross[chosen] / np.maximum(area[chosen], 1e-20)[:, None])


def compare(prediction: Surface, truth: Surface) -> dict[str, float]:
    """Chamfer, P2S (truth to prediction), S2P, normal consistency |n.n'| both ways, F-score at 1 cm."""
    to_prediction, nearest_p = prediction.tree.query(truth.points)
    to_truth, nearest_t = truth.tree.query(prediction.points)
    p2s, s2p = 100 * to_prediction.mean(), 100 * to_truth.mean()
    agreement = np.abs((truth.normals * prediction.normals[nearest_p]).sum(1)).mean()
    agreement += np.abs((prediction.normals * truth.normals[nearest_t]).sum(1)).mean()
    precision, recall = (to_truth < 0.01).mean(), (to_prediction < 0.01).mean()
    fscore = 2 * precision * recall / max(precision + recall, 1e-12)
    values = {
        "chamfer_cm": (p2s + s2p) / 2,
        "p2s_cm": p2s,
        "s2p_cm": s2p,
        "normal_consistency": agreement / 2,
        "fscore_1cm": fscore,
    }
    return {name: float(value) for name, value in values.items()}


def icp(
    source: Surface, target: Surface, *, with_scale: bool, iterations: int = 20, count: int = 10_000
) -> Surface:
    """`source` aligned to `target` by iterated closest points, rigid or similarity; never mirrored.

    Every step matches `count` of its points; all of them are moved once, by the steps' product.
    """
    points = source.points[:: max(1, len(source.points) // count)]
    scale, R, t = 1.0, np.eye(3), np.zeros(3)
    for _ in range(iterations):
        _, nearest = target.tree.query(points)
        s, Q, u = _closest_transform(points, target.points[nearest], with_scale)
        points = s * points @ Q.T + u
        scale, R, t = s * scale, Q @ R, s * Q @ t + u
    return source.moved(scale, R, t)


def _closest_transform(
    source: np.ndarray, target: np.ndarray, with_scale: bool
) -> tuple[float, np.ndarray, np.ndarray]:
    scale, R, t = similarity_transform(
        torch.from_numpy(source), torch.from_numpy(target), with_scale=with_scale
    )
    return float(scale), R.numpy(), t.numpy()


def evaluate_mesh(prediction: Surface, truth: Surface) -> dict[str, dict[str, float]]:
    """The three rows of a report: as predicted, after rigid ICP, after similarity ICP."""
    return {
        "raw": compare(prediction, truth),
        "rigid": compare(icp(prediction, truth, with_scale=False), truth),
        "similarity": compare(icp(prediction, truth, with_scale=True), truth),
    }
