"""A few Gauss-Newton steps that move a predicted body onto the predicted keypoints, held near the
prediction."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.skeleton import PARENTS
from turnaround.models.estimator.crop import PLANE, project_plane, to_window
from turnaround.models.estimator.kinematics import POSED, Skeleton
from turnaround.models.estimator.least_squares import least_squares
from turnaround.models.estimator.model import Prediction
from turnaround.pipeline.values.camera import DISTANCE
from turnaround.pipeline.values.rotation import axis_angle_to_matrix

STEPS = 4
TURN = 0.06  # radians: how far a joint's rotation is trusted
SHAPE = 1.5  # betas: one picture tells the size of bones only together with the distance
SHIFT = (0.05, 0.05, 0.01)  # metres: the pelvis, about where `likely_depth` puts it
LEAST = 0.03  # half windows: no keypoint is trusted more than this
USUAL = 0.6  # metres: a pelvis about this near to the world's origin is meant to be there
TURNS = 3 * POSED


def polish(skeleton: Skeleton, found: Prediction, window: Float[Tensor, "b 3"]) -> Prediction:
    """The prediction with rotations, shape and pelvis changed so that its joints project nearer to its
    keypoints.

    Unknowns: a small turn of every joint about its place, which carries everything below, the betas, and a
    shift of the pelvis. Each residual is divided by its standard deviation; the Jacobian is exact for the
    projected joints (a turn w about joint j moves a point p below it by w x (p - j)). Keypoints pull like
    Huber's, at three deviations.
    """
    rotations, betas, pelvis = found.rotations, found.betas, likely_depth(found.pelvis)
    below = _below(skeleton).to(rotations)
    trust = 1 / found.spread.clamp(min=LEAST)
    weights = torch.cat(
        [torch.full((TURNS,), 1 / TURN), torch.full((10,), 1 / SHAPE), 1 / torch.tensor(SHIFT)]
    ).to(rotations)
    prior = torch.diag(weights).expand(len(rotations), -1, -1)
    moved = torch.zeros(len(rotations), len(weights), device=rotations.device)
    for _ in range(STEPS):
        joints = skeleton(rotations, betas) + pelvis[:, None]
        residual = (to_window(project_plane(joints), window) - found.keypoints) * trust[..., None]
        jacobian = _jacobian(joints, below, skeleton.by_betas(rotations), window) * trust[..., None, None]
        huber = (3 / residual.norm(dim=-1).clamp(min=3)).sqrt().repeat_interleave(2, 1)
        rows = torch.cat([jacobian.flatten(1, 2) * huber[..., None], prior], 1)
        right = torch.cat([residual.flatten(1) * huber, moved * weights], 1)
        step = least_squares(rows, -right)
        moved = moved + step
        rotations = turn_chain(axis_angle_to_matrix(step[:, :TURNS].reshape(-1, POSED, 3)), rotations)
        betas, pelvis = betas + step[:, TURNS : TURNS + 10], pelvis + step[:, TURNS + 10 :]
    joints = skeleton(rotations, betas) + pelvis[:, None]
    return dataclasses.replace(found, rotations=rotations, betas=betas, pelvis=pelvis, joints=joints)


def likely_depth(pelvis: Float[Tensor, "b 3"], usual: float | Tensor = USUAL) -> Float[Tensor, "b 3"]:
    """The pelvis along its ray, nearer to the depth that the world's origin stands for.

    One picture tells size over distance only. By convention the person is DISTANCE away: where the estimate
    is near that it is taken to be that; a crouching person who fills a window is really nearer, and stays so.
    """
    depth = pelvis[:, 2:] + DISTANCE
    share = 0.95 * torch.exp(-0.5 * (pelvis[:, 2:] / usual) ** 4)
    return torch.cat([pelvis[:, :2] / depth, torch.ones_like(depth)], 1) * (
        depth - share * pelvis[:, 2:]
    ) - torch.tensor([0, 0, DISTANCE], device=pelvis.device)


def _below(skeleton: Skeleton) -> Float[Tensor, "k 22"]:
    """1 where keypoint k hangs below posed joint j (and is not it)."""
    count = len(skeleton.parents)
    below = torch.zeros(count, count)
    for k in range(1, count):
        below[k] = below[skeleton.parents[k]]
        below[k, skeleton.parents[k]] = 1
    return below[:, :POSED]


def _jacobian(
    joints: Float[Tensor, "b k 3"],
    below: Float[Tensor, "k 22"],
    by_betas: Float[Tensor, "b k 3 10"],
    window: Float[Tensor, "b 3"],
) -> Float[Tensor, "b k 2 79"]:
    """Derivative of the projected joints (window coordinates) by turns in the world frame, betas and the
    pelvis' shift."""
    depth = (joints[..., 2] + DISTANCE).clamp(min=0.1)
    scale = PLANE / depth / window[:, None, 2]
    zero = torch.zeros_like(scale)
    rows = [[scale, zero, -scale * joints[..., 0] / depth], [zero, scale, -scale * joints[..., 1] / depth]]
    by_point = torch.stack([torch.stack(row, -1) for row in rows], -2)
    arm = (joints[:, :, None] - joints[:, None, :POSED]) * below[..., None]
    x, y, z = arm.unbind(-1)
    o = torch.zeros_like(x)
    by_turn = torch.stack([o, z, -y, -z, o, x, y, -x, o], -1).unflatten(-1, (3, 3))  # columns: e_i x arm
    turned = torch.einsum("bkxp,bkjpi->bkxji", by_point, by_turn).flatten(-2)
    return torch.cat([turned, by_point @ by_betas, by_point], -1)


def turn_chain(
    turn: Float[Tensor, "b 22 3 3"], rotations: Float[Tensor, "b 22 3 3"]
) -> Float[Tensor, "b 22 3 3"]:
    """Global rotations after every joint was turned about its place, parents carrying their children."""
    total = [turn[:, 0]]
    for joint in range(1, POSED):
        total.append(total[PARENTS[joint]] @ turn[:, joint])
    return torch.stack(total, 1) @ rotations
