"""The face's movements as shapes of the mesh: the body's expressions and its jaw, carried to the head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import UPRIGHT
from turnaround.models.avatar.displacement import body_directions
from turnaround.models.avatar.face.following import face_directions
from turnaround.models.avatar.face.presets import PRESETS, knows_presets
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.pipeline.formats.rigged.skinned import Morph
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body

OPEN = 0.25  # radians of the jaw when it is open
LEAST = 1e-4  # metres; what moves less stays
JAW_OPEN = "jawOpen"
STILL = 1e-4  # of an expression's coefficients: less is no movement


def face_morphs(
    avatar: Avatar, *, presets: bool = False, moving: Float[np.ndarray, "m 10"] | None = None
) -> tuple[Morph, ...]:
    """One shape for each of the body's expressions at 1, `expression_0` and on, and `jawOpen`; rest pose,
    metres.

    presets: also those of `PRESETS` by name, but for `aa`, which is `jawOpen`; they are the free body's, and
    a person of another has none.
    moving: faces of clips, coefficients of the expressions each; they become `moving_0` and on.
    """
    model, rest = avatar.model, avatar.rig.rest
    directions = torch.cat([body_directions(model).expression, jaw_direction(model, rest)[..., None]], -1)
    carried = face_directions(avatar, avatar.mesh.vertices, directions)
    shapes = {f"expression_{k}": carried[..., k] for k in range(directions.shape[-1] - 1)}
    shapes[JAW_OPEN] = carried[..., -1]
    if presets and knows_presets(model):
        named = {name: preset for name, preset in PRESETS.items() if name != "aa"}
        shapes |= {name: carried @ torch.tensor([*p.expression, p.jaw]) for name, p in named.items()}
    for number, face in enumerate([] if moving is None else moving):
        shapes[f"moving_{number}"] = carried[..., :-1] @ torch.from_numpy(face).float()
    return tuple(_morph(name, deltas) for name, deltas in shapes.items())


def moving_faces(
    expressions: Sequence[Float[np.ndarray, "_ 10"]],
) -> tuple[Float[np.ndarray, "m 10"], list[Float[np.ndarray, "_ m"]]]:
    """Faces, and how much of each every frame shows: 0 to 1, within which Blender and Unity keep shapes.

    The faces are the principal directions of all frames, each with its sign and as large as it gets; none
    where nothing moves.
    """
    frames = np.concatenate([np.zeros((0, 10)), *expressions])
    _, size, axes = np.linalg.svd(frames, full_matrices=False)
    axes = axes[size > STILL * max(1.0, size.max(initial=0))]
    both = np.concatenate([axes, -axes])
    most = (frames @ both.T).max(0, initial=0)
    faces, most = both[most > STILL], most[most > STILL]
    return faces * most[:, None], [(each @ faces.T / most).clip(0, 1) for each in expressions]


def presets_of(morphs: Sequence[Morph]) -> dict[str, str]:
    """Names of `PRESETS` -> the morph that makes each."""
    made = {name: name for name in PRESETS if name in [morph.name for morph in morphs]}
    return {"aa": JAW_OPEN} | made


def jaw_direction(model: BodyModel, rest: Body) -> Float[Tensor, "v 3"]:
    """How the body's vertices move when its jaw opens by OPEN: rest pose, world frame, metres."""
    turn = axis_angle_to_matrix(torch.tensor([OPEN, 0.0, 0.0])) - torch.eye(3)
    coefficients = torch.cat([rest.betas, rest.expression])
    jaw = JOINT_INDEX["jaw"]
    arm = model.v_template + model.shapedirs @ coefficients - model.rest_joints(rest)[jaw]
    return UPRIGHT * model.lbs_weights[:, jaw, None] * (arm @ turn.mT)


def _morph(name: str, deltas: Float[Tensor, "v 3"]) -> Morph:
    moved = (deltas.norm(dim=-1) > LEAST).nonzero()[:, 0]
    return Morph(name, moved.numpy(), deltas[moved].numpy())
