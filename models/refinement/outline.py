"""The silhouette loss: outlines of the body are matched with outlines of masks, both ways.

Iterated closest points in (x, y, k nx, k ny), as an M-estimator: robust where a mask and the body disagree on
topology (crossed legs, arms before the body), and with a gradient far from the mask, where overlap has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from turnaround.models.mesh.silhouette import MeshContour, contour_points, mask_contour
from turnaround.pipeline.values.types import Camera


@dataclass(frozen=True)
class OutlineTarget:
    """The outline of one view's mask, ready to be searched."""

    points: Float[np.ndarray, "n 2"]  # pixels
    normals: Float[np.ndarray, "n 2"]
    tree: Any  # of points and scaled normals


@dataclass(frozen=True)
class Matches:
    """Pairs (sample of the body's outline, point of a mask's outline) with constant weights; residuals are
    linear in the points."""

    sample: Int[Tensor, " m"]  # index into MeshContour
    target: Float[Tensor, "m 2"]  # pixels
    weight: Float[Tensor, " m"]  # weights of one view and one direction sum to that view's weight
    uncovered: Float[Tensor, " m"]  # 1 where the mask reaches beyond the body (clothes), else 0


def outline_target(mask: Float[Tensor, "h w"], direction_weight: float) -> OutlineTarget | None:
    """The outline of a mask; None when the mask has none (empty or full)."""
    points, normals = mask_contour(mask.detach().cpu().numpy())
    if len(points) == 0:
        return None
    return OutlineTarget(points, normals, KDTree(np.concatenate([points, direction_weight * normals], 1)))


def match_outlines(
    contour: MeshContour,
    targets: list[OutlineTarget | None],
    view_weights: list[float],
    direction_weight: float,
    stride: int = 2,
) -> Matches:
    """Closest points from the body's samples to each mask's outline and back.

    Args:
        contour: the body's outline in all views.
        targets: per view; views without a target or without weight take no part.
        view_weights: per view.
        direction_weight: pixels that a difference of 1 in the outward normals counts as.
        stride: every so many samples of the body are matched.
    """
    parts = []
    for view, (target, weight) in enumerate(zip(targets, view_weights, strict=True)):
        span = contour.of_view(view)
        samples = np.arange(span.start, span.stop)[::stride]
        if target is None or weight == 0 or len(samples) == 0:
            continue
        parts += [_match_view(contour, samples, target, weight, direction_weight)]
    if not parts:
        raise ValueError("no view has both a mask outline and a visible body: nothing to fit")
    sample, target, weight, uncovered = (np.concatenate([p[k] for p in parts]) for k in range(4))
    return Matches(
        torch.from_numpy(sample),
        torch.from_numpy(target),
        torch.from_numpy(weight),
        torch.from_numpy(uncovered),
    )


def _match_view(
    contour: MeshContour, samples: np.ndarray, target: OutlineTarget, weight: float, direction_weight: float
):
    points, normals = contour.points[samples], contour.normals[samples]
    keys = np.concatenate([points, direction_weight * normals], 1)
    nearest = np.asarray(target.tree.query(keys)[1])
    tree = KDTree(keys, compact_nodes=False, balanced_tree=False)
    backward = np.asarray(
        tree.query(np.concatenate([target.points, direction_weight * target.normals], 1))[1]
    )
    lengths = contour.lengths[samples]
    beyond_forward = ((points - target.points[nearest]) * target.normals[nearest]).sum(1) < 0
    beyond_backward = ((points[backward] - target.points) * target.normals).sum(1) < 0
    weights = [weight * lengths / lengths.sum(), np.full(len(backward), weight / len(backward))]
    return (
        np.concatenate([samples, samples[backward]]),
        np.concatenate([target.points[nearest], target.points]).astype(np.float32),
        np.concatenate(weights).astype(np.float32),
        np.concatenate([beyond_forward, beyond_backward]).astype(np.float32),
    )


def residuals(
    vertices: Float[Tensor, "v 3"], contour: MeshContour, matches: Matches, cameras: Camera
) -> Float[Tensor, "m 2"]:
    """Pixels from each matched mask point to the body's outline sample."""
    return contour_points(vertices, contour, cameras)[matches.sample.to(vertices.device)] - matches.target.to(
        vertices
    )


def outline_losses(
    residual: Float[Tensor, "m 2"],
    matches: Matches,
    views: Int[Tensor, " m"],
    count: int,
    *,
    huber: float,
    inside_weight: float,
) -> Float[Tensor, " c"]:
    """Weighted Huber loss of every view, in squared pixels.

    Args:
        residual: of `residuals`, pixels.
        matches: the pairs.
        views: the view of each pair.
        count: number of views.
        huber: pixels at which the loss turns linear.
        inside_weight: factor on pairs where the mask reaches beyond the body.
    """
    squared = (residual * residual).sum(-1)
    distance = (squared + 1e-12).sqrt()
    robust = torch.where(distance < huber, squared / 2, huber * (distance - huber / 2))
    asymmetry = 1 - (1 - inside_weight) * matches.uncovered.to(residual)
    return torch.zeros(count, dtype=residual.dtype, device=residual.device).index_add(
        0, views, matches.weight.to(residual) * asymmetry * robust
    )
