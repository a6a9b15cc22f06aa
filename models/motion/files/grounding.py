"""A movement is put on the ground and over the origin."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.motion.kinematics import matrices, positions, to_world
from turnaround.models.motion.smoothing import smooth_values
from turnaround.models.motion.soles import pelvis_at_rest, rest_joints, soles
from turnaround.pipeline.values.motion import Motion

_LOW = 0.02  # share of the frames whose feet may lie below the ground
_EXACT = 1e-3  # metres: nearer to the ground is on it
_SAID = 0.10
_OFF = 0.5  # metres from the origin from where a movement is brought there
_SETTLE = 0.05  # seconds over which the height of who has no place is smoothed


def lowest(motion: Motion, model: BodyModel) -> Float[Tensor, " f"]:
    """Height of the lowest point of both soles above y = 0, metres, each frame."""
    betas = motion.body.betas.mean(0)
    rest, world = rest_joints(model, betas), to_world(matrices(motion.body).double())
    joints = positions(world, rest, rest[0] + motion.body.transl.double())
    return torch.stack([-sole.posed(world, joints)[..., 1].amax(1) for sole in soles(model, betas)]).amin(0)


def grounded(motion: Motion, model: BodyModel, *, each: bool = False) -> tuple[Motion, list[str]]:
    """The movement with its feet on y = 0, and what is said of it.

    Args:
        each: in every frame, for who has no places; else the whole as it is, by its lowest feet.
    """
    heights = lowest(motion, model)
    if each:
        shift = smooth_values(heights, max(_SETTLE * motion.fps, 0.1), "nearest")
        return _moved(motion, torch.stack([0 * shift, shift, 0 * shift], -1)), []
    ground = float(heights.quantile(_LOW))
    if abs(ground) < _EXACT:
        return motion, []
    shift = torch.tensor([0.0, ground, 0.0]).double()
    said = [f"the ground is put beneath the feet: {-ground:+.2f} m"] if abs(ground) > _SAID else []
    return _moved(motion, shift.expand(len(motion), 3)), said


def centred(motion: Motion, model: BodyModel) -> tuple[Motion, list[str]]:
    """The movement begins over the origin, if it begins far from it."""
    start = (pelvis_at_rest(model, motion.body.betas[:1]) + motion.body.transl[:1])[0]
    away = float(start[[0, 2]].norm())
    if away < _OFF:
        return motion, []
    shift = torch.stack([-start[0], 0 * start[1], -start[2]])
    return _moved(motion, shift.expand(len(motion), 3)), [
        f"it begins {away:.1f} m from the origin: moved there"
    ]


def _moved(motion: Motion, shift: Float[Tensor, "f 3"]) -> Motion:
    transl = (motion.body.transl.double() + shift).float()
    return dataclasses.replace(motion, body=dataclasses.replace(motion.body, transl=transl))
