"""How well a body fits what was seen: numbers that a person can judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.mesh.silhouette import body_masks
from turnaround.models.metrics.image import iou
from turnaround.pipeline.values.types import Body

if TYPE_CHECKING:
    from turnaround.models.refinement.objective import Objective

SURE = 0.8  # confidence of a keypoint by which a single limb is judged


@torch.no_grad()
def fit_quality(
    objective: Objective, body: Body, seen: Float[Tensor, "c h w"] | None
) -> dict[str, float | None]:
    """How a body covers the masks and the keypoints.

    Returns:
        front_iou, and sides_iou, the mean over the side masks (None without); inside, the share of the body's
        picture that lies in the front mask, which loose clothes do not lower; keypoints_px, the mean distance
        by confidence, and worst_px, the largest of a keypoint that is surely seen, both in pixels of 256
        (None without keypoints).
    """
    evidence = objective.evidence
    posed = objective.model(body)
    drawn = body_masks(posed.vertices, objective.edges.faces, evidence.cameras)
    distances = objective.squared_keypoint_errors(posed).sqrt()
    weight = evidence.confidence
    sure = distances[weight > SURE]
    covered, mask = drawn[0] >= 0.5, evidence.front_mask.cpu() >= 0.5
    return {
        "front_iou": iou(drawn[:1], evidence.front_mask.cpu()[None], half_counts=True).item(),
        "sides_iou": iou(drawn[1:], seen[1:], half_counts=True).mean().item() if seen is not None else None,
        "inside": ((covered & mask).sum() / covered.sum().clamp(min=1)).item(),
        "covered": ((covered & mask).sum() / mask.sum().clamp(min=1)).item(),
        "worst_px": sure.max().item() if len(sure) else None,
        "keypoints_px": ((distances * weight).sum() / weight.sum()).item()
        if float(weight.sum()) > 0
        else None,
    }
