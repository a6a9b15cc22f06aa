"""The person of a photo by GST: their body in one pass, and Gaussians on that body or on a better one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.crop import cut_white, mask_window
from turnaround.models.estimator.kinematics import to_global
from turnaround.models.estimator.lifter.sighting import from_trace
from turnaround.models.estimator.predict import Looked
from turnaround.models.gst.anchors import Posed
from turnaround.models.gst.landmark_tokens import landmark_values
from turnaround.models.gst.model import GST
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body, Gaussians, View

COPIED = 512  # pixels of the window that colours are copied from


@torch.no_grad()
def seen_by(model: GST, view: View, landmarks: Mapping[str, Any] | None) -> Looked:
    """What the network says of the body in a view of the canonical camera: one pass.

    Args:
        landmarks: `prepare.landmarks` of the view, None or without a source: the picture alone.
    """
    pixels, window = _window(view, model)
    values = _landmark_values(landmarks, view, window)
    return Looked(model.body(pixels, window, values), window, model.network)


@torch.no_grad()
def gst_gaussians(model: GST, view: View, body: Body | None) -> Gaussians:
    """Gaussians of a view of the canonical camera, on the CPU.

    Args:
        body: whose skin carries them, in the canonical world, of the free body; None: the network's own.
    """
    pixels, window = _window(view, model)
    picture, _ = _window(view, model, COPIED)
    posed = None if body is None else posed_on(model, body)
    return model(pixels, window, posed=posed, picture=picture).people[0].to("cpu")


def posed_on(model: GST, body: Body) -> Posed:
    """The network's points on the skin of a body of the canonical world; CallError for several bodies."""
    if body.transl.ndim != 1:
        raise CallError(f"expected one body, got a batch of shape {tuple(body.transl.shape[:-1])}")
    anchors = model.anchors
    body = body.to(anchors.rest.device)
    local = axis_angle_to_matrix(torch.cat([body.global_orient[None], body.body_pose]))
    pelvis = anchors.joints[0] + anchors.joint_directions[0] @ body.betas + body.transl
    hands = torch.stack([body.left_hand_pose, body.right_hand_pose])
    return anchors(to_global(local)[None], body.betas[None], pelvis[None], hands)


def _window(view: View, model: GST, size: int = 0) -> tuple[Float[Tensor, "1 4 s s"], Float[Tensor, "1 3"]]:
    """The pixels about the person, white beyond the picture, and where they are."""
    window = mask_window(view.mask[None])
    layers = torch.cat([view.image, view.mask[..., None]], -1).movedim(-1, 0)[None]
    device = model.tokens.device
    return cut_white(layers, window, size or model.network.size).to(device), window.to(device)


def _landmark_values(
    landmarks: Mapping[str, Any] | None, view: View, window: Float[Tensor, "1 3"]
) -> Float[Tensor, "1 n 7"] | None:
    if landmarks is None or landmarks.get("source") == "none":
        return None
    return landmark_values(from_trace(landmarks, view.camera.width).to(window.device), window)
