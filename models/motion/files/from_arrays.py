"""Poses of SMPL-X over frames, as AMASS and estimators write them, as a movement in our world."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.given.body_file import JOINTS, Layout
from turnaround.models.estimator.given.conventions import in_radians
from turnaround.models.estimator.given.hands import relative_to_mean, with_mean_hands
from turnaround.models.estimator.given.whole_pose import of_a_film
from turnaround.models.motion.files.arrays import rotations, values
from turnaround.models.motion.files.axes import Up, nearest_axis, world_from_file
from turnaround.models.motion.files.gather import rate_of
from turnaround.models.motion.files.span import Span
from turnaround.models.motion.soles import pelvis_at_rest
from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body

RATE = 30.0  # frames a second of files that tell none
_RADIANS = 2 * math.pi  # nobody's joint is written farther in radians
_MOST = 1000.0  # metres, coefficients: beyond is no person
_HIGH = ((2000.0, "millimetres", 1000.0), (20.0, "centimetres", 100.0))  # nobody stands so many metres high


def motion_of_arrays(
    fields: Mapping[str, np.ndarray], model: BodyModel, span: Span, *,
    up: Up = "auto", rate: float | None = None, person: int = 0, layout: Layout = "columns",
) -> tuple[Motion, list[str]]:  # fmt: skip
    """The movement of one person, and what was guessed; FormatError where it cannot be understood.

    Args:
        fields: arrays by name, frames first, as `gather` reads them.
        rate: frames a second of the file; None believes the file, else RATE.
    """
    found, joints = rotations(fields, person, layout)
    count = max(len(array) for array in found.values())
    guesses: list[str] = []
    known = rate or rate_of(fields)
    if known is None:
        known = RATE
        guesses.append(f"frames a second are not told: taken as {RATE:g}")
    frames, known = span.frames(count, known)
    parts = {name: _over(name, array, count)[frames] for name, array in found.items()}
    others: dict[str, Tensor | None] = {}
    for name, width in (("betas", 10), ("expression", 10), ("transl", 3)):
        array = values(fields, name, person, width)
        others[name] = None if array is None else _over(name, array, count)[frames]
    if others["betas"] is not None and joints in (24, 52):
        guesses.append(f"betas of SMPL{'-H' if joints == 52 else ''} are not SMPL-X's: left out")
        others["betas"] = None
    body = _body(parts, others, len(range(count)[frames]))
    _check(body)
    if _largest(body) > _RADIANS:
        guesses.append("angles are in degrees")
        body = in_radians(body)
    if relative_to_mean({name: array[0] if array.ndim > 1 else array for name, array in fields.items()}):
        guesses.append("hands are relative to the mean hand")
        body = with_mean_hands(body, model)
    body, said = _in_world(body, model, up, told=others["transl"] is not None, film=of_a_film(fields))
    return Motion(body, known), guesses + said


def _over(name: str, array: Float[Tensor, "n *d"], count: int) -> Float[Tensor, "f *d"]:
    """The array over all frames; one row is that of all."""
    if len(array) not in (1, count):
        raise FormatError(f"'{name}' has {len(array)} frames, the pose {count}; they must agree")
    return array.expand(count, *array.shape[1:]) if len(array) == 1 else array


def _body(parts: dict[str, Tensor], others: dict[str, Tensor | None], count: int) -> Body:
    body = Body.neutral(count)
    pose = {name: array if JOINTS[name] > 1 else array[:, 0] for name, array in parts.items()}
    told = {name: array for name, array in others.items() if array is not None}
    return dataclasses.replace(body, **{name: array.contiguous() for name, array in (pose | told).items()})


def _check(body: Body) -> None:
    for name, tensor in vars(body).items():
        if name != "transl" and float(tensor.abs().max()) > _MOST:
            raise FormatError(f"'{name}' holds {float(tensor.abs().max()):.3g}, which is no angle or shape")


def _largest(body: Body) -> float:
    """The largest angle of a joint beside the pelvis, which may turn on and on."""
    return max(float(getattr(body, n).norm(dim=-1).max()) for n in JOINTS if n != "global_orient")


def _in_world(body: Body, model: BodyModel, up: Up, *, told: bool, film: bool) -> tuple[Body, list[str]]:
    """The body in our axes and in metres, and what was guessed."""
    orient = axis_angle_to_matrix(body.global_orient.double())
    upright, said = _upright(orient[..., 1].mean(0), film) if up == "auto" else (up, [])
    turn = world_from_file(upright)
    rest = pelvis_at_rest(model, body.betas)
    transl = body.transl.double()
    if told:
        index, sign = "xyz".index(upright[-1]), -1.0 if upright[0] == "-" else 1.0
        high = float((sign * transl[:, index]).abs().median())
        for limit, unit, factor in _HIGH:
            if high > limit:
                said.append(f"units are {unit}: divided by {factor:g}")
                transl = transl / factor
                break
    else:
        said.append("places are not told: the person stays on the spot")
    if float(transl.abs().max()) > _MOST * 10:
        raise FormatError(f"'transl' holds {float(transl.abs().max()):.3g}, which is no place in metres")
    pelvis = (rest + transl) @ turn.T
    betas = body.betas.mean(0, keepdim=True)  # a person has one shape, also where every frame was estimated
    rest = pelvis_at_rest(model, betas)
    moved = dataclasses.replace(
        body,
        betas=betas.repeat(len(transl), 1),
        global_orient=matrix_to_axis_angle(turn @ orient).float(),
        transl=(pelvis - rest).float(),
    )
    return moved, said


def _upright(standing: Float[Tensor, "3"], film: bool) -> tuple[str, list[str]]:
    """The axis of a file that points up, from the mean direction of pelvises; said where it is not ours."""
    axis, _ = nearest_axis(standing)
    if film and float(standing[2]) > -0.3 and axis not in ("y", "-y"):
        axis = "z"  # AMASS: also of who lies or climbs
    elif axis[-1] == "x" or axis == "-z" or float(standing.norm()) < 0.5:
        axis = "z" if film else "-y"
    names = {"y": "y is up", "z": "z is up"}
    return axis, [names[axis]] if axis in names else []
