"""The body of a prepared view from all that is known: landmarks and the picture, by how far they agree."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.config import FitConfig, MergeConfig
from turnaround.models.estimator.crop import project_plane
from turnaround.models.estimator.kinematics import mean_rotation
from turnaround.models.estimator.lifter.fit import fit_body
from turnaround.models.estimator.lifter.keypoints import keypoint_table
from turnaround.models.estimator.lifter.landmark_points import (
    body_points,
    carried_landmarks,
    observed_points,
    person_height,
)
from turnaround.models.estimator.lifter.network import Lifted, Lifter
from turnaround.models.estimator.lifter.predict import average, to_body
from turnaround.models.estimator.lifter.sighting import Sighting, from_trace
from turnaround.models.estimator.model import Prediction
from turnaround.models.estimator.predict import Looked, body_of
from turnaround.models.mesh.silhouette import body_masks
from turnaround.models.metrics.image import iou
from turnaround.models.refinement.evidence import resize_mask
from turnaround.models.threads import one_thread
from turnaround.pipeline.values.camera import resize
from turnaround.pipeline.values.types import Body, Camera, View

log = logging.getLogger(__name__)
COVER_SIZE = 256  # pixels at which bodies are compared with the mask
COVER_MARGIN = 0.12  # of IoU: no photo of docs/landmarks.jpg reaches it


@torch.no_grad()
def estimate_from_landmarks(
    lifter: Lifter,
    picture: Looked | None,
    view: View,
    landmarks: Mapping[str, Any],
    model: BodyModel,
    *,
    fit: FitConfig = FitConfig(),
    merge: MergeConfig = MergeConfig(),
    doubt: bool = True,
) -> tuple[Body, dict[str, list[float]]]:
    """The body that landmarks and picture tell together, and its keypoints.

    Args:
        picture: what the picture's network says of the view; None: landmarks alone.
        landmarks: `prepare.landmarks` of the view.
        model: the body model whose parameters are wanted.
        doubt: give the network's own body and keypoints where the landmarks' body plainly misses the mask.
    """
    size, device = view.camera.width, lifter.offsets.device
    seen, second = (from_trace(landmarks, size, second=again).to(device) for again in (False, True))
    with one_thread():  # the matrices are tiny
        found = average(lifter, seen, second)
        if picture is not None:
            found = merged(lifter, found, picture.found, seen, merge)
        fitted = fit_body(lifter, found, seen, fit)
        body = to_body(lifter, fitted, model)
        if doubt and picture is not None:
            other, table = body_of(picture, view, model)
            if better_covered(model, body, other, view):
                return other, table
        return body, keypoint_table(lifter, fitted, seen, body, model, view.camera, landmarks)


def better_covered(model: BodyModel, body: Body, other: Body, view: View) -> bool:
    """Whether `other` covers the mask so much better than `body` that the landmarks must be wrong, as where
    limbs cross.

    A front taken for a back has the same outline: that this does not see.
    """
    camera = resize(view.camera, COVER_SIZE)
    pair = Camera(camera.K[None], camera.T_camera_world[None], COVER_SIZE, COVER_SIZE)
    faces, mask = model.skin_faces.numpy().astype(np.int32), resize_mask(view.mask, COVER_SIZE)[None]
    ious = [
        float(iou(body_masks(model(each).vertices, faces, pair), mask, half_counts=True))
        for each in (body, other)
    ]
    if ious[1] <= ious[0] + COVER_MARGIN:
        return False
    words = (
        "the landmarks' body covers the mask with an IoU of %.2f, that of the picture's network with "
        "%.2f: the latter is taken"
    )
    log.warning(words, *ious)
    return True


def merged(lifter: Lifter, found: Lifted, picture: Prediction, seen: Sighting, config: MergeConfig) -> Lifted:
    """Weighted means of two estimates: each rotation by the lifter's spread and by how near the picture's is
    to the landmarks.

    Where the picture's network is at home its joints fall on the landmarks, and its depth is the better one;
    on a photograph that it misreads they do not, and it has no say.
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
    """How much of each rotation comes from the picture's network, in [0, 1]: inverse variances, its own grown
    by disagreement."""
    observed, certainty = observed_points(seen)
    points = project_plane(body_points(picture.joints, picture.rotations, lifter.offsets))
    height = person_height(observed)[:, None]
    distance = (points - observed).norm(dim=-1) / height
    weight = (certainty > 0.5).float()
    carried = below(
        distance.device
    )  # joint j, landmark n: the landmark hangs on the joint or on one below it
    apart = torch.einsum("jn,bn->bj", carried, distance * weight) / torch.einsum(
        "jn,bn->bj", carried, weight
    ).clamp(min=1e-6)
    everything = (distance * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1e-6)
    apart = torch.maximum(apart, everything)
    variance = config.spread**2 * torch.exp(2 * apart / config.apart)
    return config.strength / variance / (config.strength / variance + 1 / found.spread.square())


def below(device: torch.device) -> Float[Tensor, "22 n"]:
    """1 where a landmark turns with a posed joint or with one below it."""
    return carried_landmarks(device).T
