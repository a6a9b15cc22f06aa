"""Refinement of an estimated body by outlines, keypoints and normals (HGM, section 3.2 and appendix)."""

from turnaround.models.refinement.config import RefinementConfig
from turnaround.models.refinement.evidence import (
    LANDMARK_NAMES,
    Evidence,
    GaussianModel,
    MaskModel,
    NormalModel,
    circle,
    gather_evidence,
    landmarks,
    masks_of_gaussians,
)
from turnaround.models.refinement.fit import Refinement, refine_body, stack
from turnaround.models.refinement.pictures import compare_masks
from turnaround.models.refinement.quality import mask_iou

__all__ = [
    "LANDMARK_NAMES",
    "Evidence",
    "GaussianModel",
    "MaskModel",
    "NormalModel",
    "Refinement",
    "RefinementConfig",
    "circle",
    "compare_masks",
    "gather_evidence",
    "landmarks",
    "mask_iou",
    "masks_of_gaussians",
    "refine_body",
    "stack",
]
