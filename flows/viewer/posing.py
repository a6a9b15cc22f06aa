"""A rigged person in the pose that controls ask for: a clip's frame, joints turned, shape and face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt32
from torch import Tensor

from turnaround.flows.animation.motions import Chosen
from turnaround.flows.animation.scene import fitted
from turnaround.flows.viewer.splats import SplatBuffer
from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import Bones, pose_bones, rest_bones
from turnaround.models.avatar.displacement import body_directions, carried_directions
from turnaround.models.avatar.face.finer import with_fine_face
from turnaround.models.avatar.face.following import face_directions
from turnaround.models.avatar.skinning import blend, transforms_of
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.motion.builtin import NAMES, builtin
from turnaround.models.motion.kinematics import full_pose, with_pose
from turnaround.models.motion.soles import standing_height
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle, matrix_to_quat
from turnaround.pipeline.values.types import Body, TexturedMesh

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
    """A rigged person whose Gaussians and mesh take poses, in the frame of the viewer: the pelvis near the
    origin."""

    def __init__(self, avatar: Avatar) -> None:
        self.avatar = avatar
        self._clips: dict[str, Motion] = {}
        self._splats = SplatBuffer(avatar.gaussians)
        self._gaussians = Points(avatar, avatar.gaussians.means, avatar.rig.gaussians)
        quats = torch.nn.functional.normalize(avatar.gaussians.quats, dim=-1)
        self._quats = np.ascontiguousarray(quats.numpy())
        self._fading = avatar.fading()

    @cached_property
    def mesh(self) -> TexturedMesh:
        """The mesh at rest, finer where the face is."""
        return self._fine.mesh

    @cached_property
    def _fine(self) -> Avatar:
        return with_fine_face(self.avatar)

    @cached_property
    def _vertices(self) -> Points:
        return Points(self._fine, self._fine.mesh.vertices, self._fine.rig.mesh)

    def clip(self, name: str) -> Motion:
        """A clip of this person, ready from its second use on."""
        if name not in self._clips:
            own = self.avatar.rig
            if name == PHOTO:
                motion = Motion(own.photo[None], 30.0)
            else:
                motion = fitted(Chosen(name, builtin(name), source=name), self.avatar)
                down = torch.tensor([0.0, standing_height(self.avatar.model, own.rest.betas), 0.0])
                motion = replace(motion, body=replace(motion.body, transl=motion.body.transl + down))
            self._clips[name] = motion
        return self._clips[name]

    def body(self, pose: Pose) -> Body:
        """The body of a pose: the clip's nearest frame, turned and shaped as asked; soles stay as high."""
        body = self._frame(pose)
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

    def _frame(self, pose: Pose) -> Body:
        """The clip's nearest frame, (1,) of it."""
        motion = self.clip(pose.clip)
        frame = min(max(round(pose.time * motion.fps), 0), len(motion) - 1)
        return motion.body[frame : frame + 1]

    def _change(self, pose: Pose) -> Float32[np.ndarray, "20"]:
        """Betas and expression beyond those of the person at rest, in whose points the photo's face is."""
        clip = torch.zeros(COUNT) if pose.clip == PHOTO else self._frame(pose).expression[0]
        return np.array([*pose.betas, *(clip.numpy() + pose.expression)], np.float32)

    def _lift(self, betas: Float[Tensor, "10"]) -> Float[Tensor, "3"]:
        """What keeps pelvis and soles of another shape where the person's own are: up by longer legs."""
        model, own = self.avatar.model, self.avatar.rig.rest
        before, after = (model.rest_joints(each)[0] for each in (own, replace(own, betas=betas)))
        higher = standing_height(model, betas) - standing_height(model, own.betas)
        return before - after - torch.tensor([0.0, higher, 0.0])

    def buffer(self, pose: Pose) -> UInt32[np.ndarray, "n 8"]:
        """The Gaussians of a pose as viser takes them."""
        bones = self._bones(pose)
        means, quats = self._gaussians.moved(self._change(pose), bones, self._quats)
        return self._splats.packed(means, quats, self._fading.shown(transforms_of(bones)))

    def vertices(self, pose: Pose) -> Float32[np.ndarray, "v 3"]:
        """The vertices of `mesh` in a pose, metres."""
        return self._vertices.moved(self._change(pose), self._bones(pose))[0]

    def _bones(self, pose: Pose) -> Bones:
        body, rig, model = self.body(pose), self.avatar.rig, self.avatar.model
        joints = rig.joints if pose.betas == _NONE else rest_bones(model, replace(rig.rest, betas=body.betas))
        return pose_bones(model, body, joints)


class Points:
    """Points of a person at rest, and the bones that move them."""

    def __init__(self, avatar: Avatar, points: Float[Tensor, "n 3"], skin: SkinWeights) -> None:
        self._avatar = avatar
        self._rest = np.ascontiguousarray(points.numpy(), np.float32)
        self._ids = np.ascontiguousarray(skin.bones.numpy(), np.int32)
        self._weights = np.ascontiguousarray(skin.weights.numpy(), np.float32)
        self._last = np.zeros(2 * COUNT, np.float32), self._rest

    def moved(
        self,
        change: Float32[np.ndarray, "20"],
        bones: Bones,
        quats: Float32[np.ndarray, "q 4"] | None = None,
    ) -> tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, "q 4"]]:
        """The points where the bones take them, betas and expression changed, and rotations turned along."""
        quats = np.empty((0, 4), np.float32) if quats is None else quats
        turns = matrix_to_quat(bones.rotations).float().contiguous().numpy()
        found, turned = np.empty_like(self._rest), np.empty_like(quats)
        arrays = self._resting(change), quats, self._ids, self._weights, transforms_of(bones), turns
        blend(*arrays, False, found, turned)
        return found, turned

    def _resting(self, change: Float32[np.ndarray, "20"]) -> Float32[np.ndarray, "n 3"]:
        if not change.any():
            return self._rest
        if not np.array_equal(self._last[0], change):
            self._last = change, self._rest + (self._directions @ change).reshape(-1, 3)
        return self._last[1]

    @cached_property
    def _directions(self) -> Float32[np.ndarray, "n3 20"]:
        model, rest = self._avatar.model, self._avatar.rig.rest
        points, of_body = torch.from_numpy(self._rest), body_directions(model)
        shape = carried_directions(model, rest, points, of_body.shape)
        face = face_directions(self._avatar, points, of_body.expression)
        return torch.cat([shape, face], -1).reshape(-1, 2 * COUNT).numpy()
