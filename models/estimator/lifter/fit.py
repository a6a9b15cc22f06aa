"""A few Gauss-Newton steps that move a lifted body onto its landmarks, held by how sure the lifter is of
every rotation.

As `models/estimator/polish.py` with other data: landmarks that lie beside the joints, each with the error
that it had on known people, and a prior that follows the network's own uncertainty. No vertex is skinned:
milliseconds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.skeleton import JOINT_INDEX, PARENTS
from turnaround.models.estimator.config import FitConfig
from turnaround.models.estimator.crop import PLANE, project_plane
from turnaround.models.estimator.kinematics import POSED, Skeleton, posed_chain
from turnaround.models.estimator.least_squares import least_squares
from turnaround.models.estimator.lifter.landmark_points import (
    POINT_JOINTS,
    body_points,
    carried_landmarks,
    observed_points,
    person_height,
)
from turnaround.models.estimator.lifter.network import Lifted, Lifter
from turnaround.models.estimator.lifter.sighting import Sighting
from turnaround.models.estimator.polish import likely_depth, turn_chain
from turnaround.pipeline.values.camera import DISTANCE
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle

TURNS = 3 * POSED
HINGES = {"left_knee": (0, 1.0), "right_knee": (0, 1.0), "left_elbow": (1, -1.0), "right_elbow": (1, 1.0)}
"""Joints that bend one way: axis of the local rotation, and its sign."""


@torch.no_grad()
def fit_body(lifter: Lifter, found: Lifted, seen: Sighting, config: FitConfig = FitConfig()) -> Lifted:
    """The lifted bodies with rotations, shape and pelvis changed so that their landmarks project nearer to
    the seen ones.

    Unknowns: a small turn of every joint about its place, which carries everything below, the betas, and a
    shift of the pelvis. Residuals are divided by their deviations; the Jacobian is exact (a turn w about
    joint j moves a point p below it by w x (p - j)).
    """
    skeleton = lifter.skeleton
    observed, trust = landmark_trust(lifter, seen, config)
    start = found.rotations
    prior = _Prior.of(skeleton, found, config)
    carried = carried_landmarks(found.betas.device).to(found.betas)
    rotations, betas, pelvis = start, found.betas, prior.pelvis
    for _ in range(config.steps):
        joints = skeleton(rotations, betas) + pelvis[:, None]
        points = body_points(joints, rotations, lifter.offsets)
        residual = (project_plane(points) - observed) * trust[..., None]
        jacobian = _jacobian(points, joints, carried, skeleton.by_betas(rotations)[:, list(POINT_JOINTS)])
        huber = (config.huber / residual.norm(dim=-1).clamp(min=config.huber)).sqrt().repeat_interleave(2, 1)
        rows, right = prior.rows(rotations, betas, pelvis)
        hinge_rows, hinge_right = _hinges(rotations, config)
        rows = torch.cat(
            [(jacobian * trust[..., None, None]).flatten(1, 2) * huber[..., None], rows, hinge_rows], 1
        )
        right = torch.cat([residual.flatten(1) * huber, right, hinge_right], 1)
        step = least_squares(rows, -right)
        turns = axis_angle_to_matrix(step[:, :TURNS].reshape(-1, POSED, 3))
        rotations = turn_chain(turns, rotations)
        betas, pelvis = betas + step[:, TURNS : TURNS + 10], pelvis + step[:, TURNS + 10 :]
    joints = skeleton(rotations, betas) + pelvis[:, None]
    return dataclasses.replace(found, rotations=rotations, betas=betas, pelvis=pelvis, joints=joints)


def usual_place(skeleton: Skeleton, lifted: Lifted, config: FitConfig) -> Float[Tensor, "b 3"]:
    """The pelvis, nearer to the depth of the world's origin: one picture tells size over distance only
    (`likely_depth`).

    By convention a person is as far away as the canonical camera's distance. Who crouches or sits and fills
    the frame is really nearer, which the lifter has learned.
    """
    rest = skeleton.rest(lifted.betas)
    ankles, head = [JOINT_INDEX["left_ankle"], JOINT_INDEX["right_ankle"]], JOINT_INDEX["head"]
    tall, full = (
        (points[:, head] - points[:, ankles].mean(1)).norm(dim=-1, keepdim=True)
        for points in (lifted.joints, rest)
    )
    usual = torch.where(tall > config.stands * full, *config.usual)
    return likely_depth(lifted.pelvis, usual)


def landmark_trust(
    lifter: Lifter, seen: Sighting, config: FitConfig
) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
    """The landmarks in the picture, and one over the deviation of each; 0 for what is not seen."""
    observed, certainty = observed_points(seen)
    height = person_height(observed)[:, None]
    visible, hidden = lifter.errors
    error = hidden + (visible - hidden) * ((certainty - 0.2) / 0.6).clamp(0, 1)
    # the median length of a vector is 1.18 deviations of each of its coordinates
    return observed, config.trust * (certainty > 0) / (error / 1.18 * height)


@dataclass(frozen=True)
class _Prior:
    """Residuals that hold the body near what the lifter said."""

    skeleton: Skeleton
    lifted: Lifted
    pelvis: Float[Tensor, "b 3"]
    config: FitConfig
    chain: Float[Tensor, "22 22"]  # 1 where a turn of the column's joint turns the row's

    @staticmethod
    def of(skeleton: Skeleton, lifted: Lifted, config: FitConfig) -> _Prior:
        return _Prior(
            skeleton, lifted, usual_place(skeleton, lifted, config), config, posed_chain().to(lifted.betas)
        )

    def rows(
        self, rotations: Tensor, betas: Tensor, pelvis: Tensor
    ) -> tuple[Float[Tensor, "b r 79"], Float[Tensor, "b r"]]:
        """Jacobian and residuals of a body."""
        config, lifted, count = self.config, self.lifted, len(betas)
        total = matrix_to_axis_angle(rotations @ lifted.rotations.transpose(-1, -2))
        own = total.clone()
        own[:, 1:] -= total[:, list(PARENTS[1:POSED])]  # to first order
        whole = config.whole / lifted.spread
        eye = torch.eye(3).to(betas)
        by_whole = torch.einsum("jk,xy,bj->bjxky", self.chain, eye, whole).reshape(count, TURNS, TURNS)
        by_local = torch.eye(TURNS).to(betas).expand(count, -1, -1) / config.local
        rest = torch.cat([torch.full((10,), 1 / config.shape), 1 / torch.tensor(config.shift)]).to(betas)
        jacobian = betas.new_zeros(count, 2 * TURNS + 13, TURNS + 13)
        jacobian[:, :TURNS, :TURNS], jacobian[:, TURNS : 2 * TURNS, :TURNS] = by_whole, by_local
        jacobian[:, 2 * TURNS :, TURNS:] = torch.diag(rest)
        change = torch.cat([betas - lifted.betas, pelvis - self.pelvis], 1) * rest
        residual = torch.cat(
            [(total * whole[..., None]).flatten(1), own.flatten(1) / config.local, change], 1
        )
        return jacobian, residual


def _jacobian(
    points: Float[Tensor, "b n 3"],
    joints: Float[Tensor, "b k 3"],
    carried: Float[Tensor, "n 22"],
    by_betas: Float[Tensor, "b n 3 10"],
) -> Float[Tensor, "b n 2 79"]:
    """Derivative of the projected landmarks by turns in the world frame, betas and the pelvis' shift."""
    depth = (points[..., 2] + DISTANCE).clamp(min=0.1)
    scale, zero = PLANE / depth, torch.zeros_like(depth)
    rows = [[scale, zero, -scale * points[..., 0] / depth], [zero, scale, -scale * points[..., 1] / depth]]
    by_point = torch.stack([torch.stack(row, -1) for row in rows], -2)
    arm = (points[:, :, None] - joints[:, None, :POSED]) * carried[..., None]
    x, y, z = arm.unbind(-1)
    o = torch.zeros_like(x)
    by_turn = torch.stack([o, z, -y, -z, o, x, y, -x, o], -1).unflatten(-1, (3, 3))  # columns: e_i x arm
    turned = torch.einsum("bnxp,bnjpi->bnxji", by_point, by_turn).flatten(-2)
    return torch.cat([turned, by_point @ by_betas, by_point], -1)


def _hinges(
    rotations: Float[Tensor, "b 22 3 3"], config: FitConfig
) -> tuple[Float[Tensor, "b h 79"], Float[Tensor, "b h"]]:
    """Residuals of knees and elbows that bend the wrong way."""
    count = len(rotations)
    jacobian = rotations.new_zeros(count, len(HINGES), TURNS + 13)
    residual = rotations.new_zeros(count, len(HINGES))
    for row, (name, (axis, sign)) in enumerate(HINGES.items()):
        joint = JOINT_INDEX[name]
        parent = rotations[:, PARENTS[joint]]
        local = matrix_to_axis_angle(parent.transpose(-1, -2) @ rotations[:, joint])
        wrong = (-sign * local[:, axis]).clamp(min=0)
        # a turn w in the world changes the local rotation by about R_parent^T w
        jacobian[:, row, 3 * joint : 3 * joint + 3] = (
            -sign * parent[:, :, axis] * (wrong > 0).float()[:, None] / config.hinge
        )
        residual[:, row] = wrong / config.hinge
    return jacobian, residual
