"""Motions and skeletons for tests: a movement of ours as the BVH of somebody else's skeleton."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS
from turnaround.models.motion.kinematics import OPENCV, matrices, positions, to_world
from turnaround.models.motion.soles import rest_joints, soles
from turnaround.pipeline.formats.bvh import Bvh, encode, in_file_order
from turnaround.pipeline.values.motion import Motion

BODY = JOINT_NAMES[:22]
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up -> z up

CMU = {
    "pelvis": "Hips", "spine1": "LowerBack", "spine2": "Spine", "spine3": "Spine1", "neck": "Neck",
    "head": "Head",
    **{f"{s}_{a}": f"{s.capitalize()}{b}" for s in ("left", "right")
       for a, b in (("hip", "UpLeg"), ("knee", "Leg"), ("ankle", "Foot"), ("foot", "ToeBase"),
                    ("collar", "Shoulder"), ("shoulder", "Arm"), ("elbow", "ForeArm"), ("wrist", "Hand"))},
}  # fmt: skip
MIXAMO = {ours: f"mixamorig:{theirs}" for ours, theirs in CMU.items()}
ROKOKO = {
    "pelvis": "Hips", "spine1": "Spine1", "spine2": "Spine2", "spine3": "Spine4", "neck": "Neck",
    "head": "Head",
    **{f"{s}_{a}": f"{s.capitalize()}{b}" for s in ("left", "right")
       for a, b in (("hip", "Thigh"), ("knee", "Shin"), ("ankle", "Foot"), ("foot", "Toe"),
                    ("collar", "Shoulder"), ("shoulder", "Arm"), ("elbow", "ForeArm"), ("wrist", "Hand"))},
}  # fmt: skip
BIPED = {
    "pelvis": "Bip01 Pelvis", "spine1": "Bip01 Spine", "spine2": "Bip01 Spine1", "spine3": "Bip01 Spine2",
    "neck": "Bip01 Neck", "head": "Bip01 Head",
    **{f"{s}_{a}": f"Bip01 {s[0].upper()} {b}" for s in ("left", "right")
       for a, b in (("hip", "Thigh"), ("knee", "Calf"), ("ankle", "Foot"), ("foot", "Toe0"),
                    ("collar", "Clavicle"), ("shoulder", "UpperArm"), ("elbow", "Forearm"),
                    ("wrist", "Hand"))},
}  # fmt: skip
UNREAL = {
    "pelvis": "pelvis", "spine1": "spine_01", "spine2": "spine_02", "spine3": "spine_03", "neck": "neck_01",
    "head": "head",
    **{f"{s}_{a}": f"{b}_{s[0]}" for s in ("left", "right")
       for a, b in (("hip", "thigh"), ("knee", "calf"), ("ankle", "foot"), ("foot", "ball"),
                    ("collar", "clavicle"), ("shoulder", "upperarm"), ("elbow", "lowerarm"),
                    ("wrist", "hand"))},
}  # fmt: skip
POSER = {
    "pelvis": "Hips", "spine1": "Chest", "spine2": "Chest2", "spine3": "Chest3", "neck": "Neck",
    "head": "Head",
    **{f"{s}_{a}": f"{s.capitalize()}{b}" for s in ("left", "right")
       for a, b in (("hip", "Hip"), ("knee", "Knee"), ("ankle", "Ankle"), ("foot", "Toe"),
                    ("collar", "Collar"), ("shoulder", "Shoulder"), ("elbow", "Elbow"), ("wrist", "Wrist"))},
}  # fmt: skip
DAZ = {
    "pelvis": "hip", "spine1": "abdomen", "spine2": "abdomen2", "spine3": "chest", "neck": "neck",
    "head": "head",
    **{f"{s}_{a}": f"{s[0]}{b}" for s in ("left", "right")
       for a, b in (("hip", "thigh"), ("knee", "shin"), ("ankle", "foot"), ("foot", "toe"),
                    ("collar", "collar"), ("shoulder", "shldr"), ("elbow", "forearm"), ("wrist", "hand"))},
}  # fmt: skip
SMPL = {name: name.replace("left_", "L_").replace("right_", "R_").title() for name in BODY}
FAMILIES = {"smplx": {name: name for name in BODY}, "smpl": SMPL, "cmu": CMU, "mixamo": MIXAMO,
            "rokoko": ROKOKO, "biped": BIPED, "unreal": UNREAL, "poser": POSER, "daz": DAZ}  # fmt: skip


def no_turns() -> torch.Tensor:
    """Each joint's turn against the world in the rest pose of a file: a T pose."""
    return torch.eye(3, dtype=torch.float64).repeat(55, 1, 1)


def arms_lowered(degrees: float) -> torch.Tensor:
    """The same of an A pose."""
    turns = no_turns()
    for side, sign in (("left", -1.0), ("right", 1.0)):
        turn = torch.from_numpy(Rotation.from_euler("z", sign * degrees, degrees=True).as_matrix())
        chain = [f"{side}_{name}" for name in ("shoulder", "elbow", "wrist")]
        chain += [name for name in JOINT_NAMES[25:] if name.startswith(side)]
        for name in chain:
            turns[JOINT_INDEX[name]] = turn
    return turns


def as_bvh(
    motion: Motion, model: BodyModel, names: Mapping[str, str], *, turns: torch.Tensor | None = None,
    order: str = "ZXY", axes: np.ndarray | None = None, scale: float = 100.0,
    extra: Callable[[str], str | None] = lambda name: None,
) -> Bvh:  # fmt: skip
    """The movement on a skeleton whose joints are those of `names`, in a rest pose of its own.

    Args:
        turns: of our joints against the world in its rest pose.
        axes: from y up to the file's axes.
        scale: units a metre.
        extra: name of a joint that stands halfway before a joint and does not turn.
    """
    turns = no_turns() if turns is None else turns
    axes = np.eye(3) if axes is None else axes
    body = motion.body
    rest = rest_joints(model, body.betas[0])
    local = matrices(body).double()
    local[:, 0] = OPENCV.double() @ local[:, 0]
    world = to_world(local)
    placed = positions(turns[None], rest, rest[:1])[0]
    kept = [name for name in JOINT_NAMES if name in names]
    parent = {name: _kept_parent(name, names) for name in kept}
    lines: list[tuple[str, str | None, np.ndarray, np.ndarray]] = []  # name, parent, offset, world rotation
    for name in kept:
        joint, above = JOINT_INDEX[name], parent[name]
        offset = placed[joint] - (placed[JOINT_INDEX[above]] if above else torch.zeros(3))
        turned = (world[:, joint] @ turns[joint].mT).numpy()
        before = extra(name)
        if before and above:
            held = (world[:, JOINT_INDEX[above]] @ turns[JOINT_INDEX[above]].mT).numpy()
            lines.append((before, names[above], offset.numpy() / 2, held))
            above, offset = None, offset / 2
        lines.append((names[name], before or (names[above] if above else None), offset.numpy(), turned))
    pelvis = (rest[0] + body.transl.double()) @ OPENCV.double()
    return _bvh(lines, pelvis.numpy(), motion.fps, order, axes, scale)


def _kept_parent(name: str, names: Mapping[str, str]) -> str | None:
    joint = PARENTS[JOINT_INDEX[name]]
    while joint >= 0 and JOINT_NAMES[joint] not in names:
        joint = PARENTS[joint]
    return JOINT_NAMES[joint] if joint >= 0 else None


def _bvh(lines: list, pelvis: np.ndarray, fps: float, order: str, axes: np.ndarray, scale: float) -> Bvh:
    index = {name: k for k, (name, *_) in enumerate(lines)}
    parents = tuple(index[above] if above else -1 for _, above, *_ in lines)
    sequence = in_file_order(parents)
    place = {old: new for new, old in enumerate(sequence)}
    columns = [scale * pelvis @ axes.T]
    for old in sequence:
        turned = axes @ lines[old][3] @ axes.T
        if parents[old] >= 0:
            above = axes @ lines[parents[old]][3] @ axes.T
            turned = above.transpose(0, 2, 1) @ turned
        columns.append(Rotation.from_matrix(turned).as_euler(order, degrees=True))
    rotations = tuple(f"{axis}rotation" for axis in order)
    return Bvh(
        names=tuple(lines[old][0] for old in sequence),
        parents=tuple(place[parents[old]] if parents[old] >= 0 else -1 for old in sequence),
        offsets=np.stack([scale * axes @ lines[old][2] for old in sequence]),
        ends=(None,) * len(lines),
        channels=tuple(
            rotations if k else ("Xposition", "Yposition", "Zposition", *rotations) for k in range(len(lines))
        ),
        frame_time=1 / fps,
        values=np.concatenate(columns, 1),
    )


def world_rotations(motion: Motion) -> torch.Tensor:
    """Rotations of the joints against the world, float64 (f,55,3,3)."""
    return to_world(matrices(motion.body).double())


def degrees_between(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angles between rotations (..., 3, 3)."""
    return torch.from_numpy(
        np.degrees(Rotation.from_matrix((a.mT @ b).reshape(-1, 3, 3).numpy()).magnitude())
    ).reshape(a.shape[:-2])


def sole_points(motion: Motion, model: BodyModel) -> list[torch.Tensor]:
    """The points of both soles over time, each (f, n, 3)."""
    betas = motion.body.betas[0]
    rest, world = rest_joints(model, betas), world_rotations(motion)
    joints = positions(world, rest, rest[0] + motion.body.transl.double())
    return [sole.posed(world, joints) for sole in soles(model, betas)]


def little_bvh(unit: str = "cm", frames: int = 3) -> bytes:
    """The text of a skeleton of limbs alone, without a body model."""
    scale = {"cm": 1.0, "mm": 10.0}[unit]
    chains = [("Hips", None, (0, 90, 0)), ("Spine", "Hips", (0, 20, 0)), ("Head", "Spine", (0, 35, 0))]
    for side, sign in (("Left", 1), ("Right", -1)):
        chains += [
            (f"{side}Arm", "Spine", (sign * 18, 25, 0)),
            (f"{side}ForeArm", f"{side}Arm", (sign * 25, 0, 0)),
            (f"{side}UpLeg", "Hips", (sign * 8, -5, 0)),
            (f"{side}Leg", f"{side}UpLeg", (0, -40, 0)),
        ]
    names = [name for name, *_ in chains]
    parents = tuple(names.index(above) if above else -1 for _, above, _ in chains)
    order = in_file_order(parents)
    turns = ("Zrotation", "Xrotation", "Yrotation")
    channels = (("Xposition", "Yposition", "Zposition", *turns), *[turns] * (len(names) - 1))
    values = np.random.default_rng(0).normal(0, 10, (frames, sum(map(len, channels))))
    values[:, :3] = np.array([0, 90 * scale, 0])
    return encode(
        Bvh(
            names=tuple(names[k] for k in order),
            parents=tuple(order.index(parents[k]) if parents[k] >= 0 else -1 for k in order),
            offsets=scale * np.array([chains[k][2] for k in order], float),
            ends=tuple((0.0, -1.0, 0.0) if names[k].endswith("Leg") else None for k in order),
            channels=channels,
            frame_time=1 / 30,
            values=values,
        )
    )


def little_amass(frames: int = 3) -> bytes:
    """An .npz as of AMASS, of a person who lies still in a T pose."""
    stream = io.BytesIO()
    np.savez(
        stream, poses=np.zeros((frames, 66), np.float32), trans=np.zeros((frames, 3)), mocap_framerate=60.0
    )
    return stream.getvalue()
