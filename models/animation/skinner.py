"""A person's Gaussians, frame by frame: what does not change between frames is made ready once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.displacement import body_directions
from turnaround.models.avatar.face.following import face_directions
from turnaround.models.avatar.skinning import blend, transforms_of
from turnaround.pipeline.values.rotation import matrix_to_quat
from turnaround.pipeline.values.types import Body, Gaussians

STILL = 1e-5  # metres a unit of expression: what moves less does not move
LIKENESS = 1500  # points that stand for all Gaussians where only their extent counts


class Skinner:
    """The Gaussians of an avatar in each frame of a batch of bodies of its shape.

    As `Avatar.posed_gaussians` of every frame, with what fades in; here the face's expression moves, too.
    """

    def __init__(self, avatar: Avatar, bodies: Body) -> None:
        """Make ready.

        Args:
            avatar: the person.
            bodies: (f,) of them, the avatar's betas in each.
        """
        bones = avatar.bones(bodies)
        self.joints = bones.positions  # (f, j, 3) metres, world
        self._transforms = transforms_of(bones)
        self._turns = np.ascontiguousarray(matrix_to_quat(bones.rotations).numpy(), np.float32)
        gaussians, skin = avatar.gaussians, avatar.rig.gaussians
        self._gaussians = gaussians
        self._means = np.ascontiguousarray(gaussians.means.numpy(), np.float32)
        self._quats = np.ascontiguousarray(gaussians.quats.numpy(), np.float32)
        self._ids = np.ascontiguousarray(skin.bones.numpy(), np.int32)
        self._weights = np.ascontiguousarray(skin.weights.numpy(), np.float32)
        self._fading = avatar.fading()
        self._faces = _expressions(avatar, bodies)

    def __len__(self) -> int:
        return len(self._transforms)

    def gaussians(self, frame: int) -> Gaussians:
        """All Gaussians of a frame, world frame."""
        means, quats = np.empty_like(self._means), np.empty_like(self._quats)
        bones = self._transforms[frame], self._turns[frame]
        blend(self._resting(frame), self._quats, self._ids, self._weights, *bones, False, means, quats)
        posed = replace(self._gaussians, means=torch.from_numpy(means), quats=torch.from_numpy(quats))
        return self._fading.faded(posed, self._transforms[frame])

    def extent(self, frame: int) -> Float[Tensor, "p 3"]:
        """Some of a frame's means, spread over the whole person; as many in every frame."""
        step = -(-len(self._means) // LIKENESS)
        points, ids, weights = (
            np.ascontiguousarray(array[::step]) for array in (self._means, self._ids, self._weights)
        )
        moved, none = np.empty_like(points), np.empty((0, 4), np.float32)
        blend(points, none, ids, weights, self._transforms[frame], self._turns[frame], False, moved, none)
        return torch.from_numpy(moved)

    def _resting(self, frame: int) -> np.ndarray:
        """Means at rest with the frame's expression."""
        if self._faces is None:
            return self._means
        moving, directions, coefficients = self._faces
        means = self._means.copy()
        means[moving] += directions @ coefficients[frame]
        return means


def _expressions(avatar: Avatar, bodies: Body) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Gaussians that follow the face, their directions (m, 3, 10), and coefficients (f, 10); None for still
    faces."""
    if not bool(bodies.expression.any()):
        return None
    directions = body_directions(avatar.model).expression
    carried = face_directions(avatar, avatar.gaussians.means, directions).numpy()
    moving = np.flatnonzero(np.abs(carried).max((1, 2)) > STILL)
    return moving, carried[moving], bodies.expression.numpy()
