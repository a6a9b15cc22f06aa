"""A rigged person and their motions as skinned files hold them: on the ground, a rotation a bone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import BONE_NAMES, BONE_PARENTS, TWISTS
from turnaround.models.avatar.face.finer import with_fine_face
from turnaround.models.avatar.interchange.expression import face_morphs
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.motion.soles import standing_height
from turnaround.pipeline.formats.rigged import skinned_glb
from turnaround.pipeline.formats.rigged.skinned import Clip, Morph, Skeleton, Skinned
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.rotation import matrix_to_quat

_HUNG = {twist.name: JOINT_INDEX[twist.joint] for twist in TWISTS if twist.joint == twist.start}
PARENTS: Final[tuple[int, ...]] = tuple(
    _HUNG.get(name, parent) for name, parent in zip(BONE_NAMES, BONE_PARENTS, strict=True)
)
"""Bones' parents in files: an upper arm's twist bone hangs on the shoulder, so that who turns the shoulder by
hand turns the arm."""


def skinned(avatar: Avatar, *, scale: float = 1.0) -> Skinned:
    """The person at rest, the lowest point of the mesh on the ground y = 0.

    scale: of all lengths.
    """
    lift = torch.tensor([0.0, lowest(avatar), 0.0])
    mesh = replace(avatar.mesh, vertices=(avatar.mesh.vertices - lift) * scale)
    joints = ((avatar.rig.joints - lift) * scale).double().numpy()
    return Skinned(mesh, avatar.rig.mesh, Skeleton(BONE_NAMES, PARENTS, joints))


def lowest(avatar: Avatar) -> float:
    """Metres from the pelvis down to the lowest point of the mesh at rest."""
    return float(avatar.mesh.vertices[:, 1].max())


def morphs(avatar: Avatar, *, scale: float = 1.0, presets: bool = False) -> tuple[Morph, ...]:
    """The movements of the face, see `face_morphs`; `scale` as of the person."""
    return tuple(
        morph._replace(deltas=morph.deltas * scale) for morph in face_morphs(avatar, presets=presets)
    )


def clips(avatar: Avatar, motions: Sequence[tuple[str, Motion]], *, scale: float = 1.0) -> tuple[Clip, ...]:
    """Named motions of the person's shape (`models.motion.retarget`), who stands on what they stand on at
    rest: shoes, not soles.

    scale: of all lengths, as of the person.
    """
    betas = avatar.rig.rest.betas
    shoes = lowest(avatar) - standing_height(avatar.model, betas)
    made = []
    for name, motion in motions:
        bones = avatar.bones(motion.to("cpu").body)
        root = (bones.positions[:, 0] - torch.tensor([0.0, shoes, 0.0])) * scale
        quats = matrix_to_quat(local_turns(bones.rotations.double()))
        made.append(Clip(name, float(motion.fps), quats.numpy(), root.double().numpy(), _faces(motion)))
    return tuple(made)


def _faces(motion: Motion) -> Float[np.ndarray, "f m"] | None:
    """How much of each of `face_morphs` a motion shows; its jaw is a bone, `jawOpen` for who has none."""
    if not bool(motion.body.expression.any()):
        return None
    expression = motion.body.expression.detach().cpu().double().numpy()
    return np.concatenate([expression, np.zeros((len(expression), 1))], 1)


def glb_of(
    avatar: Avatar,
    motions: Sequence[tuple[str, Motion]] = (),
    *,
    scale: float = 1.0,
    extras: Mapping[str, Any] | None = None,
) -> bytes:
    """The skinned GLB of a person with these clips and the movements of the face; see `clips`.

    Where the photo shows the face, the mesh is finer there than the person's, see `with_fine_face`.
    """
    avatar = with_fine_face(avatar)
    return skinned_glb.encode(
        skinned(avatar, scale=scale),
        clips(avatar, motions, scale=scale),
        morphs(avatar, scale=scale),
        extras=extras,
    )


def local_turns(world: Float[Tensor, "f j 3 3"]) -> Float[Tensor, "f j 3 3"]:
    """Rotations of bones from rest -> the same against their parents."""
    parents = world[:, list(PARENTS[1:])]
    return torch.cat([world[:, :1], parents.mT @ world[:, 1:]], 1)
