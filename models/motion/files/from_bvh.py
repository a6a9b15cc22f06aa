"""A BVH of any skeleton as a movement of ours."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS
from turnaround.models.motion.files.axes import Up, nearest_axis, world_from_file
from turnaround.models.motion.files.names import NEEDED, joint_map
from turnaround.models.motion.files.rest import alignments, body_axes
from turnaround.models.motion.kinematics import to_local, with_matrices
from turnaround.models.motion.soles import leg_length, rest_joints
from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.bvh import Bvh, local_places, local_rotations
from turnaround.pipeline.values.motion import Motion, slerp
from turnaround.pipeline.values.rotation import matrix_to_quat, quat_to_matrix
from turnaround.pipeline.values.types import Body

_UNITS = (  # legs of so many units are so long
    ("metres", 1.0, (0.5, 1.3)),
    ("centimetres", 100.0, (50.0, 130.0)),
    ("millimetres", 1000.0, (500.0, 1300.0)),
    ("inches", 39.37, (19.0, 50.0)),
)
_LIES = 0.3  # cosine to the rest pose's upright axis, below which another axis may be up
_STANDS = 0.75  # cosine to an axis, from which people are upright along it
_ROUNDED = 2e-4  # of a frame time that is written with a few digits
_SAME_SHAPE = 5e-4  # metres: bones that agree so well with our skeleton's are ours


def motion_of_bvh(bvh: Bvh, model: BodyModel, up: Up = "auto") -> tuple[Motion, list[str]]:
    """The movement, of the mean shape unless the skeleton is ours, and what was guessed.

    Every joint that has a counterpart is turned in the world as the file's is, relative to the rest poses;
    joints that ours has not are so composed into their children. All lengths go by the legs'.

    Raises:
        FormatError: where the joints of arms or legs cannot be told.
    """
    found = joint_map(bvh.names, bvh.parents)
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise FormatError(
            f"its skeleton of {len(bvh.names)} joints has no {', '.join(missing)} that are known by name; "
            f"its joints are {', '.join(bvh.names[:40])}; rename them as Mixamo's (LeftUpLeg, LeftLeg, ...)"
        )
    rest = _rest(bvh)
    betas, ours = _shape(rest, found, model)
    axes = body_axes(rest, found)
    rotations, places = _posed(bvh)
    turns = alignments(rest, bvh.ends, found, ours, axes, rotations)
    scale, guesses = _unit(rest, found, ours)
    upright, said = _up(up, axes, places, found, leg=leg_length(ours) / scale)
    guesses += said
    world = _ours(world_from_file(upright) @ rotations, found, turns)
    hips = (places[:, found["left_hip"]] + places[:, found["right_hip"]]) / 2
    middle = scale * hips @ world_from_file(upright).T
    own = (ours[JOINT_INDEX["left_hip"]] + ours[JOINT_INDEX["right_hip"]]) / 2 - ours[0]
    pelvis = middle - (world[:, 0] @ own[:, None])[..., 0]
    body = Body.neutral(len(bvh))
    moved = Body(**{**vars(body), "betas": betas.repeat(len(bvh), 1), "transl": (pelvis - ours[0]).float()})
    if not any("position" in channel for channels in bvh.channels for channel in channels):
        guesses.append("places are not told: the person stays on the spot")
    left_out = [name for k, name in enumerate(bvh.names) if k not in found.values()]
    if left_out:
        guesses.append(f"joints that our body has not are passed on to their children: {_few(left_out)}")
    return Motion(with_matrices(moved, to_local(world)), frame_rate(bvh.frame_time)), guesses


def frame_rate(frame_time: float) -> float:
    """Frames a second; a time that was rounded (0.0333333) means the whole number (30)."""
    whole = round(1 / frame_time)
    return float(whole) if whole and abs(1 - frame_time * whole) < _ROUNDED else 1 / frame_time


def _few(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _rest(bvh: Bvh) -> Float[Tensor, "j 3"]:
    place = np.zeros((len(bvh.names), 3))
    for joint, parent in enumerate(bvh.parents):
        place[joint] = bvh.offsets[joint] + (place[parent] if parent >= 0 else 0)
    return torch.from_numpy(place)


def _posed(bvh: Bvh) -> tuple[Float[Tensor, "f j 3 3"], Float[Tensor, "f j 3"]]:
    """Rotations and places of the file's joints against its world."""
    local, from_parent = torch.from_numpy(local_rotations(bvh)), torch.from_numpy(local_places(bvh))
    rotations, places = [], []
    for joint, parent in enumerate(bvh.parents):
        if parent < 0:
            rotations.append(local[:, joint])
            places.append(from_parent[:, joint])
        else:
            rotations.append(rotations[parent] @ local[:, joint])
            places.append(places[parent] + (rotations[parent] @ from_parent[:, joint, :, None])[..., 0])
    return torch.stack(rotations, 1), torch.stack(places, 1)


def _legs(places: Float[Tensor, "j 3"], found: Mapping[str, int]) -> float:
    """Length of thigh and shin, the mean of both legs; a shin that is not told is as long as the thigh."""
    total = 0.0
    for side in ("left", "right"):
        thigh = float((places[found[f"{side}_knee"]] - places[found[f"{side}_hip"]]).norm())
        ankle = found.get(f"{side}_ankle")
        total += thigh + (float((places[ankle] - places[found[f"{side}_knee"]]).norm()) if ankle else thigh)
    return total / 2


def _unit(rest: Tensor, found: Mapping[str, int], ours: Tensor) -> tuple[float, list[str]]:
    """Metres of our body a unit of the file, by the length of the legs, and what is said of it."""
    legs = _legs(rest, found)
    if not legs > 1e-6:
        raise FormatError("the legs of its skeleton have no length; export it with the offsets of its bones")
    scale = leg_length(ours) / legs
    for name, per_metre, (low, high) in _UNITS:
        if low < legs < high:
            said = [] if per_metre == 1 else [f"units are {name}: divided by {per_metre:g}"]
            factor = scale * per_metre
            if abs(factor - 1) > 0.02:
                said.append(f"lengths are multiplied by {factor:.2f}, as the legs are to those of our body")
            return scale, said
    return scale, [f"units are not known: legs of {legs:.3g} are taken as {leg_length(ours):.2f} m"]


def _up(up: Up, axes: Tensor, places: Tensor, found: Mapping[str, int], leg: float) -> tuple[str, list[str]]:
    """The file's axis that points up: that of the rest pose, unless people plainly stand along another."""
    if up != "auto":
        return up, []
    top = next((found[name] for name in ("head", "neck", "spine3") if name in found), found["left_shoulder"])
    feet = [found.get(f"{side}_ankle", found[f"{side}_knee"]) for side in ("left", "right")]
    standing = F.normalize(places[:, top] - places[:, feet].mean(1), dim=-1).mean(0)
    resting, _ = nearest_axis(axes[:, 1])
    moving, _ = nearest_axis(standing)
    chosen = resting
    if moving != resting and float(standing @ axes[:, 1]) < _LIES and float(standing.norm()) > _STANDS:
        sign, index = (-1.0 if moving[0] == "-" else 1.0), "xyz".index(moving[-1])
        height = float((sign * places[:, found["pelvis"], index]).median())
        if 0.5 * leg < height < 1.7 * leg:  # who lies has the pelvis anywhere along this axis
            chosen = moving
    return chosen, [] if chosen == "y" else [f"{chosen} is up"]


def _ours(
    rotations: Float[Tensor, "f j 3 3"], found: Mapping[str, int], turns: Float[Tensor, "55 3 3"]
) -> Float[Tensor, "f 55 3 3"]:
    """Rotations of our joints against the world; those that the file lacks go with their parent, and those
    of the spine and neck lie between their neighbours."""
    world: dict[str, Tensor] = {
        name: rotations[:, index] @ turns[JOINT_INDEX[name]] for name, index in found.items()
    }
    _between(world, ("pelvis", "spine1", "spine2", "spine3"))
    _between(world, ("spine3", "neck", "head"))
    for joint, name in enumerate(JOINT_NAMES):
        if name not in world:
            world[name] = world[JOINT_NAMES[PARENTS[joint]]]
    return torch.stack([world[name] for name in JOINT_NAMES], 1)


def _between(world: dict[str, Tensor], chain: tuple[str, ...]) -> None:
    """Fill the gaps of a chain by rotations evenly between those that are known."""
    known = [k for k, name in enumerate(chain) if name in world]
    for first, last in pairwise(known):
        a, b = (matrix_to_quat(world[chain[k]]) for k in (first, last))
        for k in range(first + 1, last):
            share = torch.full((len(a), 1), (k - first) / (last - first), dtype=a.dtype)
            world[chain[k]] = quat_to_matrix(slerp(a, b, share))


def _shape(
    rest: Float[Tensor, "j 3"], found: Mapping[str, int], model: BodyModel
) -> tuple[Float[Tensor, "10"], Float[Tensor, "55 3"]]:
    """The betas of a skeleton that is ours, in metres or centimetres; else the mean shape. And its joints."""
    mean = rest_joints(model, torch.zeros(10))
    if len(found) == len(JOINT_NAMES):
        bones = torch.stack([rest[found[n]] - rest[found[JOINT_NAMES[max(p, 0)]]] for n, p in _pairs()])
        matrix = model.joint_shapedirs[..., :10].double().cpu()
        parents = [max(p, 0) for _, p in _pairs()]
        directions = (matrix - matrix[parents]).reshape(-1, 10)
        for unit in (1.0, 0.01):
            wanted = (unit * bones - (mean - mean[parents])).reshape(-1)
            betas = torch.linalg.lstsq(directions, wanted[:, None]).solution[:, 0]
            if float((directions @ betas - wanted).abs().max()) < _SAME_SHAPE:
                betas = torch.where(betas.abs() < 1e-3, 0.0, betas).float()
                return betas, rest_joints(model, betas)
    return torch.zeros(10), mean


def _pairs() -> list[tuple[str, int]]:
    return list(zip(JOINT_NAMES, PARENTS, strict=True))
