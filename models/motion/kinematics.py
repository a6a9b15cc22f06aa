"""Joint rotations of a movement against parents and against the world, and where the joints lie."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.skeleton import PARENTS
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body

JOINTS = len(PARENTS)
OPENCV = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
"""The body's own axes (x to its left, y up, z forward) <-> the world's, for a person who faces the camera."""


def full_pose(body: Body) -> Float[Tensor, "f 55 3"]:
    """All rotations of a movement in the order of the joints, axis-angle."""
    face = torch.stack([body.jaw_pose, body.leye_pose, body.reye_pose], -2)
    hands = [body.left_hand_pose, body.right_hand_pose]
    return torch.cat([body.global_orient[..., None, :], body.body_pose, face, *hands], -2)


def with_pose(body: Body, pose: Float[Tensor, "f 55 3"]) -> Body:
    """The bodies in other poses, axis-angle."""
    return dataclasses.replace(
        body,
        global_orient=pose[..., 0, :],
        body_pose=pose[..., 1:22, :],
        jaw_pose=pose[..., 22, :],
        leye_pose=pose[..., 23, :],
        reye_pose=pose[..., 24, :],
        left_hand_pose=pose[..., 25:40, :],
        right_hand_pose=pose[..., 40:55, :],
    )


def matrices(body: Body) -> Float[Tensor, "f 55 3 3"]:
    """Rotations of the joints against their parents, the pelvis' against the world."""
    return axis_angle_to_matrix(full_pose(body))


def with_matrices(body: Body, local: Float[Tensor, "f 55 3 3"]) -> Body:
    """The inverse of `matrices`: the bodies in other poses."""
    return with_pose(body, matrix_to_axis_angle(local).to(body.transl.dtype))


def to_world(local: Float[Tensor, "f 55 3 3"]) -> Float[Tensor, "f 55 3 3"]:
    """Rotations against the parents -> against the world."""
    world = [local[:, 0]]
    for joint in range(1, JOINTS):
        world.append(world[PARENTS[joint]] @ local[:, joint])
    return torch.stack(world, 1)


def to_local(world: Float[Tensor, "f 55 3 3"]) -> Float[Tensor, "f 55 3 3"]:
    """The inverse of `to_world`."""
    parents = world[:, list(PARENTS[1:])]
    return torch.cat([world[:, :1], parents.transpose(-1, -2) @ world[:, 1:]], 1)


def positions(
    world: Float[Tensor, "f 55 3 3"], rest: Float[Tensor, "55 3"], pelvis: Float[Tensor, "f 3"]
) -> Float[Tensor, "f 55 3"]:
    """Where the joints lie, from rotations against the world, the rest pose and the pelvis."""
    place = [pelvis]
    for joint in range(1, JOINTS):
        parent = PARENTS[joint]
        place.append(place[parent] + (world[:, parent] @ (rest[joint] - rest[parent])[:, None])[..., 0])
    return torch.stack(place, 1)
