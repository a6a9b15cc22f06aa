"""The person of a photo by GST: their body in one pass, and Gaussians on that body or on a better one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.crop import cut, mask_window
from turnaround.models.estimator.kinematics import to_global
from turnaround.models.estimator.lifter.sighting import from_trace
from turnaround.models.estimator.polish import polish
from turnaround.models.estimator.predict import keypoint_table, to_body
from turnaround.models.gst.landmark_tokens import landmark_values
from turnaround.models.gst.model import GST, GSTOutput
from turnaround.models.threads import one_thread
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body, Gaussians, View


@torch.no_grad()
def one_pass(model: GST, view: View, landmarks: Mapping[str, Any] | None = None) -> tuple[GSTOutput, Tensor]:
    """What the network says of a view of the canonical camera, and the window that it looked at.

    Args:
        landmarks: `prepare.landmarks` of the view, None or without a source: the picture alone.
    """
    pixels, window = _window(view, model)
    return model(pixels, window, _landmark_values(landmarks, view, window)), window


@torch.no_grad()
def gst_body(
    model: GST,
    view: View,
    landmarks: Mapping[str, Any] | None,
    body_model: BodyModel,
    *,
    fit_keypoints: bool = True,
) -> tuple[Body, dict[str, list[float]]]:
    """The body in a view of the canonical camera, and joint name -> [x, y, confidence] in its pixels.

    `fit_keypoints`: a few Gauss-Newton steps onto the network's own 2D joints, as of `estimate_body`.
    """
    pixels, window = _window(view, model)
    values = _landmark_values(landmarks, view, window)
    found = model(pixels, window, values, gaussians=False).body
    with one_thread():  # the matrices are tiny
        if fit_keypoints:
            found = polish(model.network.skeleton, found, window)
        return to_body(model.network, found, body_model), keypoint_table(found, window, view.camera.width)


@torch.no_grad()
def gst_gaussians(model: GST, view: View, body: Body | None) -> Gaussians:
    """Gaussians of a view of the canonical camera, on the CPU.

    Args:
        body: whose skin carries them, in the canonical world, of the free body; None: the network's own.
    """
    pixels, window = _window(view, model)
    if body is None:
        return model(pixels, window).people[0].to("cpu")
    if body.transl.ndim != 1:
        raise CallError(f"expected one body, got a batch of shape {tuple(body.transl.shape[:-1])}")
    body = body.to(pixels.device)
    local = axis_angle_to_matrix(torch.cat([body.global_orient[None], body.body_pose]))
    anchors = model.anchors
    pelvis = anchors.joints[0] + anchors.joint_directions[0] @ body.betas + body.transl
    hands = torch.stack([body.left_hand_pose, body.right_hand_pose])
    posed = anchors(to_global(local)[None], body.betas[None], pelvis[None], hands)
    return model(pixels, window, posed=posed).people[0].to("cpu")


def _window(view: View, model: GST) -> tuple[Float[Tensor, "1 4 s s"], Float[Tensor, "1 3"]]:
    """The pixels about the person, white beyond the picture, and where they are."""
    window = mask_window(view.mask[None])
    layers = torch.cat([view.image - 1, view.mask[..., None]], -1).movedim(-1, 0)[None]
    darkness, mask = cut(layers, window, model.network.size).split((3, 1), 1)
    device = model.tokens.device
    return torch.cat([darkness + 1, mask], 1).to(device), window.to(device)


def _landmark_values(
    landmarks: Mapping[str, Any] | None, view: View, window: Float[Tensor, "1 3"]
) -> Float[Tensor, "1 n 7"] | None:
    if landmarks is None or landmarks.get("source") == "none":
        return None
    return landmark_values(from_trace(landmarks, view.camera.width).to(window.device), window)
