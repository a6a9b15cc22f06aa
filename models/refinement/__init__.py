"""Refinement of an estimated body by outlines, keypoints and normals (HGM, section 3.2 and appendix)."""

from models.refinement.config import RefinementConfig
from models.refinement.evidence import Evidence, GaussianModel, MaskModel, NormalModel, circle, gather_evidence, masks_of_gaussians
from models.refinement.fit import Refinement, refine_body
from models.refinement.quality import mask_iou

__all__ = [
    "Evidence",
    "GaussianModel",
    "MaskModel",
    "NormalModel",
    "Refinement",
    "RefinementConfig",
    "circle",
    "gather_evidence",
    "mask_iou",
    "masks_of_gaussians",
    "refine_body",
]
