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
from turnaround.models.avatar.interchange.expression import face_morphs, moving_faces
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


def morphs(
    avatar: Avatar,
    *,
    scale: float = 1.0,
    presets: bool = False,
    moving: Float[np.ndarray, "m 10"] | None = None,
) -> tuple[Morph, ...]:
    """The movements of the face, see `face_morphs`; `scale` as of the person."""
    found = face_morphs(avatar, presets=presets, moving=moving)
    return tuple(morph._replace(deltas=morph.deltas * scale) for morph in found)


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
        made.append(Clip(name, float(motion.fps), quats.numpy(), root.double().numpy()))
    return tuple(made)


def animated(
    avatar: Avatar, motions: Sequence[tuple[str, Motion]], *, scale: float = 1.0
) -> tuple[tuple[Clip, ...], tuple[Morph, ...]]:
    """The clips, see `clips`, and the movements of the face, among them those that the clips show; the jaw of
    a clip is a bone."""
    made = clips(avatar, motions, scale=scale)
    expressions = [motion.body.expression.detach().cpu().double().numpy() for _, motion in motions]
    faces, shares = moving_faces(expressions)
    shapes = morphs(avatar, scale=scale, moving=faces)
    if not len(faces):
        return made, shapes
    still = len(shapes) - len(faces)
    shown = [np.pad(share, ((0, 0), (still, 0))) for share in shares]
    return tuple(clip._replace(shapes=each) for clip, each in zip(made, shown, strict=True)), shapes


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
    moves, shapes = animated(avatar, motions, scale=scale)
    return skinned_glb.encode(skinned(avatar, scale=scale), moves, shapes, extras=extras)


def local_turns(world: Float[Tensor, "f j 3 3"]) -> Float[Tensor, "f j 3 3"]:
    """Rotations of bones from rest -> the same against their parents."""
    parents = world[:, list(PARENTS[1:])]
    return torch.cat([world[:, :1], parents.mT @ world[:, 1:]], 1)
