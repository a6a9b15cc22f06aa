"""The rest pose of somebody's skeleton against ours: T or A, bones along any axis, any axis up.

In its rest pose all rotations of a file are zero. A joint of ours that is turned by A_j out of our T pose
lies along the file's bone; so a joint that the file turns by G_j is turned by G_j @ A_j.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS
from turnaround.models.motion.files.twist import HINGES, hinge_turn, usual_turn
from turnaround.models.motion.turns import about, shortest
from turnaround.pipeline.errors import FormatError

_TRUNK = ("pelvis", "spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar", "jaw",
          "left_eye", "right_eye")  # fmt: skip
_BENT = 40.0  # degrees from our T pose from which also the trunk's bones are followed
_OPEN = 100.0  # degrees from our T pose of a limb that is neither in a T nor in an A pose
_FLAT = 25.0  # degrees between slopes of feet below which both stand flat
_SNAP = 0.9  # of a unit axis along another one, from which they are taken as one
_CHILD = {  # joint -> the joints that tell where its bone goes, the best first
    "pelvis": ("spine1", "spine2", "spine3", "neck"),
    "spine1": ("spine2", "spine3", "neck"), "spine2": ("spine3", "neck"), "spine3": ("neck", "head"),
    "neck": ("head",),
    **{f"{s}_{a}": (f"{s}_{b}",) for s in ("left", "right")
       for a, b in (("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"), ("collar", "shoulder"),
                    ("shoulder", "elbow"), ("elbow", "wrist"))},
    **{f"{s}_wrist": (f"{s}_middle1", f"{s}_index1", f"{s}_ring1") for s in ("left", "right")},
    **{f"{s}_{f}{k}": (f"{s}_{f}{k + 1}",) for s in ("left", "right")
       for f in ("index", "middle", "pinky", "ring", "thumb") for k in (1, 2)},
}  # fmt: skip


def body_axes(rest: Float[Tensor, "j 3"], found: Mapping[str, int]) -> Float[Tensor, "3 3"]:
    """Columns: where the body's own axes (to its left, up, forward) point in the file, from the rest pose."""
    top = next((found[name] for name in ("neck", "head", "spine3") if name in found), None)
    hips = rest[found["left_hip"]] - rest[found["right_hip"]]
    middle = (rest[found["left_hip"]] + rest[found["right_hip"]]) / 2
    if top is None:
        top_at = (rest[found["left_shoulder"]] + rest[found["right_shoulder"]]) / 2
    else:
        top_at = rest[top]
    up, left = F.normalize(top_at - middle, dim=0), F.normalize(hips, dim=0)
    up = up - (up @ left) * left
    if up.norm() < 0.3 or left.norm() < 0.5:
        raise FormatError(
            "its rest pose cannot be understood: hips and neck lie on one line or in one place; export "
            "it with the offsets of a T or A pose"
        )
    up = F.normalize(up, dim=0)
    axes = torch.stack([left, up, torch.linalg.cross(left, up)], 1)
    whole = axes.round()
    near = bool((axes.abs().amax(0) > _SNAP).all()) and abs(float(torch.det(whole)) - 1) < 1e-6
    return whole if near else axes


def alignments(
    rest: Float[Tensor, "j 3"],
    ends: Sequence[tuple[float, float, float] | None],
    found: Mapping[str, int],
    ours: Float[Tensor, "55 3"],
    axes: Float[Tensor, "3 3"],
    rotations: Float[Tensor, "f j 3 3"],
) -> Float[Tensor, "55 3 3"]:
    """How each of our joints is turned out of our T pose in the file's rest pose, in the file's axes.

    Limbs lie along the file's bones, each turned little from where its parent's turn leaves it.
    The trunk stands as ours, since the places of joints in it are a matter of taste; and feet that stand flat
    in both stand flat. What the rest pose leaves open is taken from the motion (`twist`).

    Args:
        rest, ends: joints of the file in its rest pose, and its end sites from their joints.
        found: SMPL-X joint -> the file's.
        ours: our joints in the T pose.
        axes: `body_axes`.
        rotations: of the file's joints against its world, over frames.
    """
    turns: list[Tensor] = []
    for joint, name in enumerate(JOINT_NAMES):
        before = turns[PARENTS[joint]] if joint else axes
        bone = _bone(name, rest, ends, found, ours)
        if bone is None and name in _TRUNK:
            turns.append(axes)
            continue
        if bone is None:
            turns.append(before)
            continue
        own, theirs = bone
        if name in _TRUNK:
            straight = joint == 0 or _degrees(axes @ own, theirs) < _BENT
            turns.append(axes if straight else _as_used(joint, turns, found, rotations))
        elif name.endswith("ankle") and _both_flat(own, axes.T @ theirs):
            turns.append(_heading(axes @ own, theirs, axes) @ axes)
        else:
            turned = _turn(before @ own, theirs, axes[:, 2]) @ before
            if name in HINGES:
                twist = _twist(name, turned, theirs, found, rest, rotations, _degrees(axes @ own, theirs))
                turned = twist @ turned
            turns.append(turned)
    return torch.stack(turns)


def _as_used(joint: int, turns: list[Tensor], found: Mapping[str, int], rotations: Tensor) -> Tensor:
    """The turn of a joint of the trunk whose rest pose is unlike ours: as its parent's, on the average."""
    above = PARENTS[joint]
    while above > 0 and JOINT_NAMES[above] not in found:
        above = PARENTS[above]
    pair = rotations[:, found[JOINT_NAMES[above]]], rotations[:, found[JOINT_NAMES[joint]]]
    return usual_turn(turns[above], *pair)


def _twist(
    name: str, turned: Tensor, bone: Tensor, found: Mapping[str, int], rest: Tensor, rotations: Tensor,
    away: float,
) -> Float[Tensor, "3 3"]:  # fmt: skip
    """The turn of a limb's bone about itself, by how knee or elbow bend; `away` degrees from our T pose."""
    upper, lower, axis = HINGES[name]
    end = {"knee": "ankle", "elbow": "wrist"}[lower.partition("_")[2]]
    chain = [found.get(joint) for joint in (upper, lower, lower.partition("_")[0] + "_" + end)]
    if None in chain:
        return torch.eye(3, dtype=turned.dtype)
    first, second, third = (joint for joint in chain if joint is not None)
    limb = [
        (rotations[:, joint] @ (rest[child] - rest[joint])[:, None])[..., 0]
        for joint, child in ((first, second), (second, third))
    ]
    joint = rotations[:, found[name]]
    return hinge_turn(turned, axis, bone, joint, (limb[0], limb[1]), open_=away > _OPEN)


def _turn(a: Float[Tensor, "3"], b: Float[Tensor, "3"], forward: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """The turn from one direction to another: as far as may be in the plane of shoulders and hips, where
    arms are lowered and legs set apart, then the shortest."""
    flat_a, flat_b = (v - (v @ forward) * forward for v in (a, b))
    if flat_a.norm() < 0.5 * a.norm() or flat_b.norm() < 0.5 * b.norm():
        return shortest(a, b)
    across = torch.linalg.cross(flat_a, flat_b)
    first = about(forward, torch.atan2(across @ forward, flat_a @ flat_b))
    return shortest(first @ a, b) @ first


def _bone(
    name: str, rest: Tensor, ends: Sequence[tuple[float, float, float] | None],
    found: Mapping[str, int], ours: Tensor,
) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]] | None:  # fmt: skip
    """A joint's bone in our T pose and in the file's rest pose; None where the file does not tell."""
    if name not in found:
        return None
    joint, here = JOINT_INDEX[name], rest[found[name]]
    for child in _CHILD.get(name, ()):
        if child in found and (rest[found[child]] - here).norm() > 1e-6:
            return ours[JOINT_INDEX[child]] - ours[joint], rest[found[child]] - here
    end = ends[found[name]]
    own = _end_bone(name, ours)
    if end is None or own is None or torch.tensor(end).norm() < 1e-6:
        return None
    return own, torch.tensor(end, dtype=rest.dtype)


def _end_bone(name: str, ours: Tensor) -> Tensor | None:
    """Where a bone goes that ends in an end site."""
    joint = JOINT_INDEX[name]
    if name.endswith("wrist"):
        return ours[JOINT_INDEX[name.replace("wrist", "middle1")]] - ours[joint]
    if name.endswith("ankle"):
        return ours[JOINT_INDEX[name.replace("ankle", "foot")]] - ours[joint]
    return ours[joint] - ours[PARENTS[joint]] if name.endswith("3") and name[-2].isalpha() else None


def _degrees(a: Tensor, b: Tensor) -> float:
    return float(torch.rad2deg(torch.acos(F.cosine_similarity(a, b, dim=0).clamp(-1, 1))))


def _both_flat(own: Tensor, theirs: Tensor) -> bool:
    """Whether two bones from ankle to toes slope alike, in the body's own axes."""
    slopes = [torch.atan2(-bone[1], bone[[0, 2]].norm()) for bone in (own, theirs)]
    return abs(float(torch.rad2deg(slopes[0] - slopes[1]))) < _FLAT


def _heading(a: Tensor, b: Tensor, axes: Tensor) -> Tensor:
    """The turn about the upright axis from the heading of one direction to that of another."""
    up = axes[:, 1]
    level_a, level_b = (v - (v @ up) * up for v in (a, b))
    return shortest(level_a, level_b)
