"""The other terms of the refinement: 2D joints, normals, and the pull to the estimate."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from turnaround.models.refinement.config import RefinementConfig
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Body, Camera


def joint_errors(
    points: Float[Tensor, "k 3"], keypoints: Float[Tensor, "k 2"], camera: Camera
) -> Float[Tensor, " k"]:
    """Squared distances in pixels between projected landmarks and keypoints."""
    projected, _ = project(points, camera)
    return (projected - keypoints).square().sum(-1)


def joint_loss(
    squared: Float[Tensor, " k"], confidence: Float[Tensor, " k"], scale: float
) -> Float[Tensor, ""]:
    """Mean Geman-McClure function of squared pixel distances, weighted by confidence; per 100 squared
    pixels."""
    robust = squared * scale**2 / (squared + scale**2)
    return (confidence * robust).sum() / confidence.sum().clamp(min=1e-6) / 100


def normal_loss(rendered: Float[Tensor, "c h w 3"], predicted: Float[Tensor, "c h w 3"]) -> Float[Tensor, ""]:
    """Mean L1 difference of unit normals over the pixels where both pictures have one (ICON, section 3.1)."""
    both = (rendered.detach().abs().sum(-1) > 0) & (predicted.abs().sum(-1) > 0)
    if not bool(both.any()):
        return rendered.sum() * 0
    return (rendered - predicted)[both].abs().sum(-1).mean()


def prior_loss(body: Body, estimate: Body, config: RefinementConfig) -> Float[Tensor, ""]:
    """Pull towards the estimate, where pictures say little: joint rotations, shape, depth."""
    pose = (body.body_pose - estimate.body_pose).square().mean()
    orient = (body.global_orient - estimate.global_orient).square().mean()
    shape = (body.betas - estimate.betas).square().mean()
    depth = ((body.transl - estimate.transl)[..., 2] * 10).square().mean()
    return config.pose_prior * (pose + orient) + config.shape_prior * shape + config.depth_prior * depth
