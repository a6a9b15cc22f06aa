"""How well a body fits what was seen: numbers that a person can judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from models.silhouette import body_masks
from pipeline.types import Body

if TYPE_CHECKING:
    from models.refinement.objective import Objective


@torch.no_grad()
def fit_quality(objective: Objective, body: Body, seen: Float[Tensor, "c h w"] | None) -> dict[str, float | None]:
    """IoU of the front mask, mean IoU of the side masks (None without), mean keypoint distance in pixels of 256."""
    evidence = objective.evidence
    posed = objective.model(body)
    drawn = body_masks(posed.vertices, objective.edges.faces, evidence.cameras)
    distances = objective.squared_keypoint_errors(posed).sqrt()
    weight = evidence.confidence
    return {
        "front_iou": mask_iou(drawn[:1], evidence.front_mask.cpu()[None]).item(),
        "sides_iou": mask_iou(drawn[1:], seen[1:]).mean().item() if seen is not None else None,
        "keypoints_px": ((distances * weight).sum() / weight.sum()).item() if float(weight.sum()) > 0 else None,
    }


def mask_iou(a: Float[Tensor, "c h w"], b: Float[Tensor, "c h w"]) -> Float[Tensor, " c"]:
    """Intersection over union of masks thresholded at 0.5; 1 where both are empty."""
    a, b = a >= 0.5, b >= 0.5
    union = (a | b).sum((1, 2))
    return torch.where(union > 0, (a & b).sum((1, 2)) / union.clamp(min=1), torch.ones_like(union, dtype=torch.float32))
