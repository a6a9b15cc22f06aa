"""From a prepared view to a Body and its keypoints: the network, and a few Gauss-Newton steps onto its own
keypoints."""

from __future__ import annotations

import copy
import dataclasses
from functools import lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models import zoo
from turnaround.models.body.model import FREE_BODY, BodyModel
from turnaround.models.convnet import for_inference
from turnaround.models.estimator.averaging import LOOKS, look
from turnaround.models.estimator.crop import from_window
from turnaround.models.estimator.kinematics import KEYPOINT_NAMES, Skeleton, to_local
from turnaround.models.estimator.model import BodyEstimator, Prediction
from turnaround.models.estimator.polish import polish
from turnaround.models.threads import one_thread
from turnaround.pipeline.values.rotation import matrix_to_axis_angle
from turnaround.pipeline.values.types import Body, View

SPREAD_TO_CONFIDENCE = 0.06  # half windows; an expected error of this much has a confidence of 1/e


@runtime_checkable
class SaysBody(Protocol):
    """A network whose predictions are bodies: this one, and the paper's of GST."""

    skeleton: Skeleton
    hands: Float[Tensor, "2 15 3"]


def load_estimator(name_or_path: str = "estimator", device: torch.device | str = "cpu") -> BodyEstimator:
    """The trained network for inference, on the free body's skeleton, which it was trained with; loaded once
    a process and digest."""
    return _load(name_or_path, zoo.digest(name_or_path), str(device))


@lru_cache(maxsize=2)
def _load(name_or_path: str, _digest: str, device: str) -> BodyEstimator:
    state, _ = zoo.load_state(name_or_path)
    model = BodyModel.shared()
    network = BodyEstimator(Skeleton(model.joint_template, model.joint_shapedirs))
    network.load_state_dict(state)
    for_inference(network.eval())
    return network.to(device)


class Looked(NamedTuple):
    """What a network says of a picture."""

    found: Prediction
    window: Float[Tensor, "1 3"]  # where the network looked
    network: SaysBody


def looked(network: BodyEstimator, view: View, *, average: bool = True) -> Looked:
    """What the estimator says of a view of the canonical camera.

    Args:
        average: over several looks (mirrored, turned, larger); False is one pass.
    """
    device = next(network.parameters()).device
    pixels = torch.cat([view.image, view.mask[..., None]], -1).movedim(-1, 0)[None].to(device)
    return Looked(*look(network, pixels, LOOKS if average else ()), network)


@torch.no_grad()
def body_of(
    picture: Looked, view: View, model: BodyModel, *, fit_keypoints: bool = True
) -> tuple[Body, dict[str, list[float]]]:
    """The SMPL-X body of what a network says, and 2D joints.

    Args:
        model: the body model whose parameters are wanted; another than the free body gets betas that make its
        bones
            as long (`transfer_shape`).
        fit_keypoints: let the body follow the network's own 2D joints, which are more exact than its angles.

    Returns:
        The body, and joint name -> [x, y, confidence] in pixels of the view.
    """
    found, window, network = picture
    with one_thread():  # the matrices are tiny
        if fit_keypoints:
            found = polish(network.skeleton, found, window)
        return to_body(network, found, model), keypoint_table(found, window, view.camera.width)


def estimate_body(
    network: BodyEstimator, view: View, model: BodyModel, *, fit_keypoints: bool = True, average: bool = True
) -> tuple[Body, dict[str, list[float]]]:
    """`body_of` what the estimator says of a view of the canonical camera."""
    return body_of(looked(network, view, average=average), view, model, fit_keypoints=fit_keypoints)


def to_body(network: SaysBody, found: Prediction, model: BodyModel) -> Body:
    """Parameters of the first person of a prediction."""
    pose = matrix_to_axis_angle(to_local(found.rotations.cpu()))[0]
    betas = found.betas[0].cpu()
    if model.digest != zoo.file_digest(FREE_BODY):
        betas = transfer_shape(
            copy.deepcopy(network.skeleton).cpu(),
            Skeleton(model.joint_template, model.joint_shapedirs).cpu(),
            betas,
        )
    pelvis_rest = model.joint_template[0].cpu() + model.joint_shapedirs[0, :, :10].cpu() @ betas
    return dataclasses.replace(
        Body.neutral(),
        betas=betas,
        global_orient=pose[0],
        body_pose=pose[1:],
        left_hand_pose=network.hands[0].cpu(),
        right_hand_pose=network.hands[1].cpu(),
        transl=found.pelvis[0].cpu() - pelvis_rest,
    )


def keypoint_table(found: Prediction, window: Float[Tensor, "1 3"], size: int) -> dict[str, list[float]]:
    """Joint name -> x, y in pixels of a picture of `size`, confidence in [0, 1]."""
    points = (from_window(found.keypoints, window)[0] + 1) / 2 * size
    confidence = torch.exp(-found.spread[0] / SPREAD_TO_CONFIDENCE)
    table = torch.cat([points, confidence[:, None]], 1).cpu().tolist()
    return {name: [round(value, 4) for value in row] for name, row in zip(KEYPOINT_NAMES, table, strict=True)}


def transfer_shape(
    source: Skeleton, target: Skeleton, betas: Float[Tensor, " 10"], ridge: float = 0.02
) -> Float[Tensor, " 10"]:
    """Betas of another body model whose bones come closest to those of `source`; betas mean nothing across
    models.

    Ridge regression on the bones' vectors in the T pose: `ridge` (metres per beta) keeps what bones do not
    tell at 0.
    """
    parents = target.parents

    def bones(points: Tensor) -> Tensor:
        return points[1:] - points[parents[1:]]

    wanted = bones(source.rest(betas[None])[0]) - bones(target.template)
    columns = bones(target.directions).reshape(-1, 10)
    system = columns.T @ columns + ridge**2 * torch.eye(10)
    return torch.linalg.solve(system, columns.T @ wanted.reshape(-1))
