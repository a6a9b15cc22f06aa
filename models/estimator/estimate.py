"""The body of a prepared view from all that is known: landmarks and the picture, by how far they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from models.body import BodyModel
from models.estimator.averaging import look
from models.estimator.crop import project_plane
from models.estimator.kinematics import POSED
from models.estimator.lifter.fit import FitConfig, fit_body
from models.estimator.lifter.keypoints import keypoint_table
from models.estimator.lifter.landmark_points import POINT_FRAMES, body_points, observed_points
from models.estimator.lifter.network import Lifted, Lifter
from models.estimator.lifter.predict import average, mean_rotation, to_body
from models.estimator.lifter.sighting import Sighting, from_trace
from models.estimator.model import BodyEstimator, Prediction
from models.skeleton import PARENTS
from models.threads import one_thread
from pipeline.types import Body, View


@dataclass(frozen=True)
class MergeConfig:
    """How far the picture's network, which knows only renders, is believed beside the lifter."""

    spread: float = 0.22  # radians: error of its rotations where it agrees with the landmarks
    apart: float = 0.035  # of the person's height: distance from the landmarks at which it is believed less by a factor e
    strength: float = 2.0  # 0: never


@torch.no_grad()
def estimate_from_landmarks(
    lifter: Lifter, network: BodyEstimator | None, view: View, landmarks: Mapping[str, Any], model: BodyModel,
    *, fit: FitConfig = FitConfig(), merge: MergeConfig = MergeConfig(),
) -> tuple[Body, dict[str, list[float]]]:  # fmt: skip
    """The body that landmarks and picture tell together, and its keypoints.

    Args:
        network: the embedded picture estimator; None: landmarks alone.
        landmarks: `prepare.landmarks` of the view.
        model: the body model whose parameters are wanted.
    """
    size, device = view.camera.width, lifter.offsets.device
    seen, second = (from_trace(landmarks, size, second=again).to(device) for again in (False, True))
    picture = None
    if network is not None and merge.strength > 0:
        pixels = torch.cat([view.image, view.mask[..., None]], -1).movedim(-1, 0)[None]
        picture, _ = look(network, pixels.to(device))
    with one_thread():  # the matrices are tiny
        found = average(lifter, seen, second)
        if picture is not None:
            found = merged(lifter, found, picture, seen, merge)
        fitted = fit_body(lifter, found, seen, fit)
        body = to_body(lifter, fitted, model)
        return body, keypoint_table(lifter, fitted, seen, body, model, view.camera, landmarks)


def merged(lifter: Lifter, found: Lifted, picture: Prediction, seen: Sighting, config: MergeConfig) -> Lifted:
    """Weighted means of two estimates: each rotation by the lifter's spread and by how near the picture's is to the landmarks.

    Where the picture's network is at home its joints fall on the landmarks, and its depth is the better one; on a
    photograph that it misreads they do not, and it has no say.
    """
    share = picture_share(lifter, found, picture, seen, config)
    weight = torch.stack([1 - share, share])[..., None, None]
    rotations = mean_rotation(torch.stack([found.rotations, picture.rotations]) * weight)
    spread = found.spread * (1 - share).sqrt()
    whole = share[:, :1]
    betas = found.betas + whole * (picture.betas - found.betas)
    pelvis = found.pelvis + whole * (picture.pelvis - found.pelvis)
    joints = lifter.skeleton(rotations, betas) + pelvis[:, None]
    return replace(found, rotations=rotations, spread=spread, betas=betas, pelvis=pelvis, joints=joints)


def picture_share(
    lifter: Lifter,
    found: Lifted,
    picture: Prediction,
    seen: Sighting,
    config: MergeConfig,
) -> Float[Tensor, "b 22"]:
    """How much of each rotation comes from the picture's network, in [0, 1]: inverse variances, its own grown by disagreement."""
    observed, certainty = observed_points(seen)
    points = project_plane(body_points(picture.joints, picture.rotations, lifter.offsets))
    height = (observed[:, :33].amax(1) - observed[:, :33].amin(1)).amax(1)[:, None]
    distance = (points - observed).norm(dim=-1) / height
    weight = (certainty > 0.5).float()
    carried = below(distance.device)  # joint j, landmark n: the landmark hangs on the joint or on one below it
    apart = torch.einsum("jn,bn->bj", carried, distance * weight) / torch.einsum("jn,bn->bj", carried, weight).clamp(min=1e-6)
    everything = (distance * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1e-6)
    apart = torch.maximum(apart, everything)
    variance = config.spread**2 * torch.exp(2 * apart / config.apart)
    return config.strength / variance / (config.strength / variance + 1 / found.spread.square())


def below(device: torch.device) -> Float[Tensor, "22 n"]:
    """1 where a landmark turns with a posed joint or with one below it."""
    chain = torch.eye(POSED, device=device)
    for joint in range(1, POSED):
        chain[joint] += chain[PARENTS[joint]]
    return chain[list(POINT_FRAMES)].T
