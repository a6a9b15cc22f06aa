"""The person of a photo: their body fitted to it, and what the fitted body makes of coarse model and
normals."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.landmarks.record import keypoints_at
from turnaround.models.refinement.config import RefinementConfig
from turnaround.models.refinement.evidence import gather_evidence, masks_of_gaussians
from turnaround.models.refinement.fit import Refinement, refine_body, stack
from turnaround.models.refinement.networks import Networks, load_networks
from turnaround.models.refinement.pictures import mask_pictures
from turnaround.pipeline.formats.normal_image import encode_normals
from turnaround.pipeline.values.camera import orbit_cameras, resize
from turnaround.pipeline.values.types import Body, Gaussians, View

log = logging.getLogger(__name__)

OWN_KEYPOINTS = 0.1  # weight of the estimator's own keypoints against that of landmarks
UNTOUCHED: dict[str, Any] = {"iterations": [], "kept": "iteration 0", "poor_fit": [], "causes": []}


class NoFit(ValueError):
    """The mask is empty, or the body is not before the camera."""


class RefinedPerson(NamedTuple):
    """The fitted body, and what the fit saw; all on the CPU."""

    body: Body
    gaussians: Gaussians  # the coarse model, fed the fitted body
    masks: dict[str, Float[Tensor, "s s 3"]]  # `mask_pictures`
    normals_front: Float[Tensor, "h w 4"]  # as `encode_normals` writes them
    normals_back: Float[Tensor, "h w 4"]
    trace: dict[str, Any]
    path: Body  # the body on its way, a batch


def refine_person(
    view: View,
    landmarks: Mapping[str, Any],
    body: Body,
    keypoints: Mapping[str, Sequence[float]],
    config: RefinementConfig,
    *,
    hgm: str,
    normal_maps: str,
    body_model: str,
    device: torch.device,
    enabled: bool = True,
) -> RefinedPerson:
    """Fit an estimated body to its photo.

    Args:
        view: the photo, any lens.
        landmarks: `prepare.landmarks`, which tell whether the keypoints are landmarks.
        body: the estimate.
        keypoints: name -> x, y in pixels of the view, confidence.
        config: the settings of the fit.
        hgm, normal_maps, body_model: as `load_networks` takes them.
        device: where the fit runs.
        enabled: false: the estimate goes on as it is.

    Raises:
        NoFit: the mask is empty, or the body is not before the camera.
        MissingFile: `normal_maps` is a folder without one of its two pictures.
    """
    networks = load_networks(view, hgm=hgm, normal_maps=normal_maps, body=body_model, device=device)
    small = networks.view
    keypoints = keypoints_at(keypoints, view.camera, small.camera)
    # landmarks have no pelvis; the picture's network, which may have been asked for all the same, has
    independent = landmarks.get("source") != "none" and "pelvis" not in keypoints
    if not independent:  # the estimate's own keypoints share its errors
        config = config.but(joint_weight=OWN_KEYPOINTS * config.joint_weight)
    there = body.to(device)
    if enabled:
        refined = _refined(there, keypoints, networks, config, independent)
    else:
        refined = Refinement(there, None, dict(UNTOUCHED), stack([there]))
    fitted = refined.body.to("cpu")
    gaussians = networks.coarse(fitted).to("cpu")
    front, back = networks.normals(fitted)
    size = front.shape[0]
    return RefinedPerson(
        fitted,
        gaussians,
        mask_pictures(networks.body, small.camera, (body, fitted), gaussians, config.size),
        encode_normals(front, resize(small.camera, size)),
        encode_normals(back, orbit_cameras([180.0], size)[0]),
        refined.trace,
        refined.path.to("cpu"),
    )


def _refined(
    body: Body,
    keypoints: Mapping[str, Sequence[float]],
    networks: Networks,
    config: RefinementConfig,
    independent: bool,
) -> Refinement:
    evidence = gather_evidence(networks.view, keypoints, views=config.views, size=config.size)
    masks, normals = masks_of_gaussians(networks.coarse), networks.normals
    try:
        refined = refine_body(
            body, evidence, networks.fitted, config, masks=masks, normals=normals, independent=independent
        )
    except ValueError as error:
        raise NoFit(str(error)) from error
    for cause in refined.trace["causes"]:
        log.warning("poor fit: %s; %s", cause["sentence"], cause["remedy"])
    return refined
