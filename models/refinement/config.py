"""Settings of the body refinement; `PAPER` has those that the paper gives."""

from __future__ import annotations

from pydantic import Field

from turnaround.pipeline.frozen import Frozen


class RefinementConfig(Frozen):
    """Loop, weights and step sizes. Lengths in pixels are of a picture 256 pixels wide, whatever `size` is.

    The defaults hold the fit near the estimate: the embedded estimator is nearer to the truth than clothed
    outlines alone can bring a body. Side views are off, because the embedded HGM model draws the body that it
    is fed: on 8 people held out, 37.5 mm became 35.2 with them and 34.2 without (docs/refinement.md).
    """

    # the loop (HGM's appendix, "SMPL-X optimization")
    iterations: int = Field(default=45, ge=1, description="steps of the fit")
    model_every: int = Field(
        default=15, ge=1, description="the HGM model and the normals are computed anew after so many steps"
    )
    feed_body_from: int = Field(
        default=0, ge=0, description="the body is withheld from the HGM model before this step (paper: 15)"
    )
    feed_normals_from: int = Field(
        default=15,
        ge=0,
        description="the body is withheld from the normal network before this step (paper: 0)",
    )
    views: int = Field(
        default=12, ge=1, description="cameras evenly around the person, the first is the photo's"
    )
    size: int = Field(default=256, ge=64, description="pixels of the fitted masks")
    # the terms
    front_weight: float = Field(
        default=10.0, gt=0, description="of the photo's mask, which cannot be left out"
    )
    side_weight: float = Field(
        default=0.0,
        ge=0,
        description="of the mask of each of the coarse model's other views (paper: 1); 0: none, and the "
        "model is not asked",
    )
    normal_weight: float = Field(
        default=1.0, ge=0, description="of front and back normals (paper: 0.5); 0: none"
    )
    joint_weight: float = Field(default=1.0, ge=0, description="of the 2D keypoints; 0: none")
    joint_scale: float = Field(
        default=8.0, gt=0, description="pixels, of the keypoints' Geman-McClure function"
    )
    outline_scale: float = Field(default=0.02, gt=0, description="of the squared distance between outlines")
    outline_huber: float = Field(default=3.0, gt=0, description="pixels from which outlines pull no harder")
    normal_direction_weight: float = Field(
        default=8.0,
        ge=0,
        description="pixels that a difference of 1 between outline normals counts as in matching",
    )
    inside_weight: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of mask that the body leaves uncovered, where clothes are, from inside_from",
    )
    inside_from: int = Field(default=0, ge=0, description="step from which inside_weight holds; 1 before")
    # pulls to the estimate
    pose_prior: float = Field(default=15.0, ge=0, description="of the mean squared joint rotation in radians")
    shape_prior: float = Field(default=0.02, ge=0, description="of the mean squared beta")
    depth_prior: float = Field(
        default=0.01, ge=0, description="of the squared distance along the photo's axis in decimetres"
    )
    # Adam
    pose_rate: float = Field(default=0.02, gt=0, description="step size of the joint rotations, radians")
    shape_rate: float = Field(default=0.04, gt=0, description="step size of the betas")
    translation_rate: float = Field(default=0.005, gt=0, description="step size of the position, metres")
    momenta: tuple[float, float] = Field(default=(0.7, 0.9), description="Adam's two decays")
    final_rate: float = Field(
        default=0.3, gt=0, le=1, description="the cosine schedule ends at this share of the rates"
    )
    # what counts as a poor fit
    poor_iou: float = Field(
        default=0.75, ge=0, le=1, description="poor fit below: overlap with the photo's mask"
    )
    poor_keypoints: float = Field(
        default=8.0, gt=0, description="poor fit above: pixels from the keypoints, mean"
    )
    # the same where keypoints are landmarks of other networks: loose clothes are no poor fit, a wrong limb is
    poor_inside: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="with landmarks, poor fit below: share of the body in the photo's mask",
    )
    poor_covered: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="with landmarks, poor fit below: share of the photo's mask under the body; long skirts "
        "leave .65",
    )
    poor_landmarks: float = Field(
        default=3.0, gt=0, description="poor fit above: pixels from the landmarks, mean"
    )
    poor_limb: float = Field(
        default=12.0,
        gt=0,
        description="poor fit above: pixels of one joint that is surely seen from its landmark",
    )


# the paper's loop, and what held with it where the paper is silent; configs/presets/paper.yaml has the same
PAPER = RefinementConfig(
    feed_body_from=15,
    feed_normals_from=0,
    side_weight=1.0,
    normal_weight=0.5,
    joint_weight=0.1,
    inside_weight=0.4,
    inside_from=20,
    pose_prior=0,
    shape_prior=0,
    depth_prior=0,
    pose_rate=0.03,
    shape_rate=0.03,
    translation_rate=0.01,
)
