"""Settings of the body refinement; those of the loop are the paper's, the stage has its own defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RefinementConfig:
    """Loop, weights and step sizes. Lengths in pixels are of a picture 256 pixels wide, whatever `size`
    is."""

    # the paper's loop (appendix, "SMPL-X optimization")
    iterations: int = 45
    model_every: int = 15  # the HGM model is run again after so many iterations
    feed_body_from: int = 15  # the body is withheld from the HGM model before this iteration
    feed_normals_from: int = 0  # the body is withheld from the normal network before this iteration
    views: int = 12  # evenly around the person, the first is the photo
    size: int = 256  # pixels, of the fitted masks
    front_weight: float = 10.0
    side_weight: float = 1.0  # of each other view; 0 switches the side views (and the HGM model) off
    normal_weight: float = 0.5  # front and back normals; 0 switches them off
    # what the paper does not give
    joint_weight: float = 0.1  # 2D keypoints; 0 switches them off
    joint_scale: float = 8.0  # pixels, of the Geman-McClure function
    outline_scale: float = 0.02  # of the squared distance between outlines
    outline_huber: float = 3.0  # pixels
    normal_direction_weight: float = (
        8.0  # pixels that a difference of 1 between outline normals counts as in matching
    )
    inside_weight: float = 0.4  # of mask that the body leaves uncovered, where clothes are, from iteration
    inside_from: int = 20
    pose_prior: float = 0.0  # pull to the estimate, of the mean squared joint rotation in radians
    shape_prior: float = 0.0  # pull to the estimate, of the mean squared beta
    depth_prior: float = (
        0.0  # pull to the estimate, of the squared distance along the photo's axis in decimetres
    )
    # Adam
    pose_rate: float = 0.03
    shape_rate: float = 0.03
    translation_rate: float = 0.01
    momenta: tuple[float, float] = (0.7, 0.9)
    final_rate: float = 0.3  # the cosine schedule ends at this share of the rates
    # what counts as a poor fit
    poor_iou: float = 0.75  # front mask
    poor_keypoints: float = 8.0  # pixels, mean
    # the same where keypoints are landmarks of other networks: loose clothes are no poor fit, a wrong limb is
    poor_inside: float = 0.8  # share of the body in the front mask
    poor_covered: float = 0.4  # share of the front mask under the body; long skirts leave .65
    poor_landmarks: float = 3.0  # pixels, mean
    poor_limb: float = 12.0  # pixels, of one joint that is surely seen

    def __post_init__(self) -> None:
        if self.views < 1 or self.iterations < 1 or self.model_every < 1:
            raise ValueError(f"views, iterations and model_every must be at least 1, got {self}")
        if self.front_weight <= 0:
            raise ValueError(
                f"front_weight must be positive, got {self.front_weight}: the photo's mask cannot be left out"
            )
