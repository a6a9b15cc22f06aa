"""The skeleton alone: joints of a body from rotations and shape, without skinning fourteen thousand
vertices."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.body.skeleton import JOINT_INDEX, JOINT_NAMES, MIRROR_JOINT, PARENTS

POSED = 22  # pelvis and the 21 joints of body_pose
_EXTRA = ("left_eye", "right_eye", "left_middle1", "right_middle1")
KEYPOINTS: tuple[int, ...] = (*range(POSED), *(JOINT_INDEX[name] for name in _EXTRA))
"""The SMPL-X joints that the estimator looks for in the picture: the 22 posed ones, the eyes and a knuckle of
each hand."""
KEYPOINT_NAMES: tuple[str, ...] = tuple(JOINT_NAMES[joint] for joint in KEYPOINTS)
MIRROR_KEYPOINT: tuple[int, ...] = tuple(KEYPOINTS.index(MIRROR_JOINT[joint]) for joint in KEYPOINTS)


class Skeleton(nn.Module):
    """Forward kinematics of the keypoints from *global* joint rotations; linear in the bones, so one product
    does it."""

    template: Float[Tensor, "k 3"]
    directions: Float[Tensor, "k 3 10"]
    ancestors: Float[Tensor, "k k"]

    def __init__(
        self, joint_template: Float[Tensor, "55 3"], joint_shapedirs: Float[Tensor, "55 3 s"]
    ) -> None:
        super().__init__()
        chosen = list(KEYPOINTS)
        self.register_buffer("template", joint_template[chosen].clone(), persistent=False)
        self.register_buffer("directions", joint_shapedirs[chosen][..., :10].clone(), persistent=False)
        parents = [0 if PARENTS[joint] < 0 else chosen.index(PARENTS[joint]) for joint in chosen]
        self.parents = parents
        ancestors = torch.zeros(len(chosen), len(chosen))
        for k in range(1, len(chosen)):
            ancestors[k] = ancestors[parents[k]]
            ancestors[k, k] = 1
        self.register_buffer("ancestors", ancestors, persistent=False)

    def rest(self, betas: Float[Tensor, "b 10"]) -> Float[Tensor, "b k 3"]:
        """Joints of the T pose in the body's own frame, metres."""
        return self.template + (betas @ self.directions.reshape(-1, 10).T).reshape(-1, *self.template.shape)

    def forward(
        self, rotations: Float[Tensor, "b 22 3 3"], betas: Float[Tensor, "b 10"]
    ) -> Float[Tensor, "b k 3"]:
        """Keypoints relative to the pelvis; `rotations` take each joint's frame to the world."""
        rest = self.rest(betas)
        bones = (rotations[:, self.parents] @ (rest - rest[:, self.parents])[..., None])[..., 0]
        return self.ancestors @ bones

    def by_betas(self, rotations: Float[Tensor, "b 22 3 3"]) -> Float[Tensor, "b k 3 10"]:
        """Derivative of `forward` by the betas."""
        bones = rotations[:, self.parents] @ (self.directions - self.directions[self.parents])
        return (self.ancestors @ bones.flatten(2)).unflatten(-1, (3, 10))


def to_global(local: Float[Tensor, "*b 22 3 3"]) -> Float[Tensor, "*b 22 3 3"]:
    """Rotations relative to the parents -> relative to the world (the pelvis' are both)."""
    result = [local[..., 0, :, :]]
    for joint in range(1, POSED):
        result.append(result[PARENTS[joint]] @ local[..., joint, :, :])
    return torch.stack(result, -3)


def to_local(rotations: Float[Tensor, "*b 22 3 3"]) -> Float[Tensor, "*b 22 3 3"]:
    """The inverse of `to_global`."""
    parents = rotations[..., list(PARENTS[1:POSED]), :, :]
    return torch.cat([rotations[..., :1, :, :], parents.transpose(-1, -2) @ rotations[..., 1:, :, :]], -3)


def mirror_rotations(rotations: Float[Tensor, "*b 22 3 3"]) -> Float[Tensor, "*b 22 3 3"]:
    """Rotations (global or local) of the body in a mirrored picture: left and right change places, x changes
    sign."""
    mirror = torch.tensor([-1.0, 1.0, 1.0], device=rotations.device, dtype=rotations.dtype)
    return rotations[..., list(MIRROR_JOINT[:POSED]), :, :] * mirror[:, None] * mirror


def mirror_keypoints(points: Float[Tensor, "*b k d"]) -> Float[Tensor, "*b k d"]:
    """Keypoints (x first, about x = 0) of a mirrored picture."""
    swapped = points[..., list(MIRROR_KEYPOINT), :]
    return torch.cat([-swapped[..., :1], swapped[..., 1:]], -1)


def mean_rotation(rotations: Float[Tensor, "n *b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation nearest to the mean of matrices."""
    u, _, vt = torch.linalg.svd(rotations.mean(0))
    sign = torch.ones_like(u[..., 0])
    sign[..., 2] = torch.det(u @ vt)
    return (u * sign[..., None, :]) @ vt


def posed_chain(device: torch.device | str = "cpu") -> Float[Tensor, "22 22"]:
    """1 where a turn of the column's joint turns the row's: the joint itself and all above it."""
    chain = torch.eye(POSED, device=device)
    for joint in range(1, POSED):
        chain[joint] += chain[PARENTS[joint]]
    return chain
