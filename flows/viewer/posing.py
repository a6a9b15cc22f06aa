"""A rigged person in the pose that controls ask for: a clip's frame, joints turned, shape and face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, UInt32
from torch import Tensor

from turnaround.flows.viewer.splats import SplatBuffer
from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import pose_bones, rest_bones
from turnaround.models.avatar.displacement import body_directions, carried_directions
from turnaround.models.avatar.face.following import face_directions
from turnaround.models.avatar.skinning import blend, transforms_of
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.motion.builtin import NAMES, builtin
from turnaround.models.motion.kinematics import full_pose, with_pose
from turnaround.models.motion.retarget import retarget
from turnaround.models.motion.soles import standing_height
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle, matrix_to_quat
from turnaround.pipeline.values.types import Body

PHOTO = "as in the photo"
CLIPS = (PHOTO, *NAMES)
COUNT = 10  # betas, and coefficients of the expression
_NONE = (0.0,) * COUNT


@dataclass(frozen=True)
class Pose:
    """What the controls say; as made, the person of the photo."""

    clip: str = PHOTO  # one of CLIPS
    time: float = 0.0  # seconds, of the clip
    turns: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """Joint -> an axis in SMPL-X's axes by its angle in degrees: turned so far beyond the clip's pose."""
    betas: tuple[float, ...] = _NONE  # beyond the person's own
    expression: tuple[float, ...] = _NONE  # beyond that of the photo


class Puppet:
    """A rigged person whose Gaussians take poses, in the frame of the viewer: the pelvis near the origin."""

    def __init__(self, avatar: Avatar) -> None:
        self.avatar = avatar
        self._clips: dict[str, Motion] = {}
        gaussians, skin = avatar.gaussians, avatar.rig.gaussians
        self._splats = SplatBuffer(gaussians)
        self._means = np.ascontiguousarray(gaussians.means.numpy(), np.float32)
        self._quats = np.ascontiguousarray(torch.nn.functional.normalize(gaussians.quats, dim=-1).numpy())
        self._ids = np.ascontiguousarray(skin.bones.numpy(), np.int32)
        self._weights = np.ascontiguousarray(skin.weights.numpy(), np.float32)
        self._fading = avatar.fading()
        self._directions: np.ndarray | None = None
        self._last: tuple[tuple[float, ...], np.ndarray] = ((), self._means)

    def clip(self, name: str) -> Motion:
        """A clip of this person, ready from its second use on."""
        if name not in self._clips:
            own = self.avatar.rig
            if name == PHOTO:
                motion = Motion(own.photo[None], 30.0)
            else:
                motion = retarget(builtin(name), own.rest.betas, self.avatar.model)
                down = torch.tensor([0.0, standing_height(self.avatar.model, own.rest.betas), 0.0])
                motion = replace(motion, body=replace(motion.body, transl=motion.body.transl + down))
            self._clips[name] = motion
        return self._clips[name]

    def body(self, pose: Pose) -> Body:
        """The body of a pose: the clip's nearest frame, turned and shaped as asked; soles stay as high."""
        motion = self.clip(pose.clip)
        frame = min(max(round(pose.time * motion.fps), 0), len(motion) - 1)
        body = motion.body[frame : frame + 1]
        if pose.turns:
            angles = full_pose(body).clone()
            for joint, degrees in pose.turns.items():
                here = angles[0, JOINT_INDEX[joint]]
                turn = axis_angle_to_matrix(torch.deg2rad(torch.tensor(degrees)))
                angles[0, JOINT_INDEX[joint]] = matrix_to_axis_angle(axis_angle_to_matrix(here) @ turn)
            body = with_pose(body, angles)
        body = body[0]
        if pose.betas == _NONE:
            return body
        betas = body.betas + torch.tensor(pose.betas)
        return replace(body, betas=betas, transl=body.transl + self._lift(betas))

    def _lift(self, betas: Float[Tensor, "10"]) -> Float[Tensor, "3"]:
        """What keeps pelvis and soles of another shape where the person's own are: up by longer legs."""
        model, own = self.avatar.model, self.avatar.rig.rest
        before, after = (model.rest_joints(each)[0] for each in (own, replace(own, betas=betas)))
        higher = standing_height(model, betas) - standing_height(model, own.betas)
        return before - after - torch.tensor([0.0, higher, 0.0])

    def buffer(self, pose: Pose) -> UInt32[np.ndarray, "n 8"]:
        """The Gaussians of a pose as viser takes them."""
        body, rig, model = self.body(pose), self.avatar.rig, self.avatar.model
        rest = replace(rig.rest, betas=body.betas)
        joints = rig.joints if pose.betas == _NONE else rest_bones(model, rest)
        bones = pose_bones(model, body, joints)
        transforms = transforms_of(bones)
        turns = matrix_to_quat(bones.rotations).float().contiguous().numpy()
        means, quats = np.empty_like(self._means), np.empty_like(self._quats)
        resting = self._resting(pose)
        blend(resting, self._quats, self._ids, self._weights, transforms, turns, False, means, quats)
        return self._splats.packed(means, quats, self._fading.shown(transforms))

    def _resting(self, pose: Pose) -> np.ndarray:
        """Means at rest of the shape and the face; the face of the photo is in them already."""
        change = (*pose.betas, *pose.expression)
        if not any(change):
            return self._means
        if self._directions is None:
            model, rest = self.avatar.model, self.avatar.rig.rest
            means, of_body = self.avatar.gaussians.means, body_directions(model)
            shape = carried_directions(model, rest, means, of_body.shape)
            face = face_directions(self.avatar, means, of_body.expression)
            self._directions = torch.cat([shape, face], -1).reshape(-1, 2 * COUNT).numpy()
        if self._last[0] != change:
            moved = self._means + (self._directions @ np.array(change, np.float32)).reshape(-1, 3)
            self._last = (change, moved)
        return self._last[1]
