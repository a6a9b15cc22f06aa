"""The base mesh that clothes are bound to: body and helper meshes in the T-pose, shaped and posed exactly as
the body model.

`data/assets/wardrobe_base.npz` (written by `python -m turnaround.data.body.build` from CC0 data) holds all
19,158 vertices of the MakeHuman mesh with the shape space and the skin weights of the free body, so that one
set of SMPL-X parameters fits both the body of `models/body/model.py` and everything it wears. What the body's
own file holds, the file leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numba
import numpy as np
from jaxtyping import Float, Float32, Int32

from turnaround.models import zoo
from turnaround.models.body.skeleton import PARENTS
from turnaround.pipeline.errors import MissingFile

INFLUENCES = 8  # joints that may move one vertex
FILE = Path(__file__).resolve().parents[1] / "assets" / "wardrobe_base.npz"
SHARED = {
    "v": "v_template",
    "shapedirs": "shapedirs",
    "weights": "weights",
}  # of every vertex: here, in the body's file
BODY_PARTS = {
    "body": (0, 4),
    "eyes": (1,),
    "teeth": (2,),
    "tongue": (3,),
}  # triangles of the body's file: numbers of `part`


@dataclass(frozen=True)
class Skin:
    """Sparse skin weights."""

    joints: Int32[np.ndarray, "v k"]
    weights: Float32[np.ndarray, "v k"]

    @staticmethod
    def of(dense: Float32[np.ndarray, "v 55"]) -> Skin:
        """The INFLUENCES largest weights of each vertex, normalised; negative ones count as none."""
        dense = np.clip(dense, 0, None)
        joints = np.argsort(-dense, 1, kind="stable")[:, :INFLUENCES]
        weights = np.take_along_axis(dense, joints, 1)
        return Skin(joints.astype(np.int32), (weights / weights.sum(1, keepdims=True)).astype(np.float32))

    @staticmethod
    def cat(parts: list[Skin]) -> Skin:
        """All vertices of `parts`, in order."""
        return Skin(
            np.concatenate([part.joints for part in parts]), np.concatenate([part.weights for part in parts])
        )


@dataclass(frozen=True)
class Part:
    """Triangles of one group of the base mesh."""

    faces: Int32[np.ndarray, "f 3"]
    uv: Float32[np.ndarray, "f 3 2"]  # per corner, v up


@dataclass(frozen=True)
class BaseMesh:
    """All vertices of the MakeHuman mesh as an SMPL-X body; axes x left, y up, z forward, metres."""

    template: Float32[np.ndarray, "v 3"]
    shapedirs: Float32[np.ndarray, "v 3 20"]  # 10 betas, 10 expressions
    weights: Float32[np.ndarray, "v 55"]
    skin: Skin
    R_tpose: Float32[np.ndarray, "v 3 3"]  # from MakeHuman's rest pose to the T-pose
    joint_template: Float32[np.ndarray, "55 3"]  # the joint regressor applied to template and shapedirs
    joint_dirs: Float32[np.ndarray, "55 3 20"]
    parts: dict[str, Part]  # body, eyes, teeth, tongue, tights, skirt, hair
    surface: Int32[np.ndarray, " b"]  # the vertices of the body model, in its order

    def shape(
        self, betas: Float32[np.ndarray, "10"], expression: Float32[np.ndarray, "10"]
    ) -> Float32[np.ndarray, "v 3"]:
        """All vertices in the T-pose."""
        return self.template + self.shapedirs @ np.concatenate([betas, expression]).astype(np.float32)

    def joints(
        self, betas: Float32[np.ndarray, "10"], expression: Float32[np.ndarray, "10"]
    ) -> Float32[np.ndarray, "55 3"]:
        """Joints in the T-pose."""
        return self.joint_template + self.joint_dirs @ np.concatenate([betas, expression]).astype(np.float32)


def joint_transforms(
    joints: Float32[np.ndarray, "55 3"], rotvecs: Float32[np.ndarray, "55 3"]
) -> Float32[np.ndarray, "55 3 4"]:
    """World transform of each joint, without a translation of the root (Loper et al. 2015, equations 3 and
    4)."""
    rotations = rotation_matrices(rotvecs)
    world = np.zeros((55, 3, 4))
    world[0, :, :3], world[0, :, 3] = rotations[0], joints[0]
    for k in range(1, 55):
        parent = world[PARENTS[k]]
        world[k, :, :3] = parent[:, :3] @ rotations[k]
        world[k, :, 3] = parent[:, :3] @ (joints[k] - joints[PARENTS[k]]) + parent[:, 3]
    return world.astype(np.float32)


def rotation_matrices(rotvecs: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Rodrigues' formula."""
    rotvecs = np.asarray(rotvecs, np.float64)
    angle = np.linalg.norm(rotvecs, axis=1)
    x, y, z = (rotvecs / np.maximum(angle, 1e-12)[:, None]).T
    o = np.zeros_like(x)
    K = np.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + s * K + (1 - c) * K @ K


def skinned(
    vertices: Float32[np.ndarray, "v 3"],
    skin: Skin,
    joints: Float32[np.ndarray, "55 3"],
    world: Float32[np.ndarray, "55 3 4"],
) -> Float32[np.ndarray, "v 3"]:
    """Linear blend skinning of T-posed vertices; `world` comes from `joint_transforms` of the same joints."""
    transforms = world.astype(np.float32).copy()
    transforms[:, :, 3] -= np.einsum("jab,jb->ja", world[:, :, :3], joints).astype(np.float32)
    posed = np.empty(vertices.shape, np.float32)
    _skin(np.ascontiguousarray(vertices, np.float32), skin.joints, skin.weights, transforms, posed)
    return posed


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _skin(vertices, joints, weights, transforms, posed):  # pragma: no cover - compiled
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for a in range(3):
            total = np.float32(0)
            for k in range(joints.shape[1]):
                w = weights[v, k]
                if w > 0:
                    t = transforms[joints[v, k]]
                    total += w * (t[a, 0] * x + t[a, 1] * y + t[a, 2] * z + t[a, 3])
            posed[v, a] = total


def load(wardrobe_base: Path | None = None, body: Path | None = None) -> BaseMesh:
    """Read `wardrobe_base.npz` and the joint regressor of the body it belongs to.

    Args:
        wardrobe_base: default: the file that ships with the project.
        body: the body in the SMPL-X format with the same shape space; default: the embedded free body.

    Raises:
        FileNotFoundError: with the command that makes the file.
    """
    return _load(wardrobe_base or FILE, body or zoo.path("body"))


@lru_cache(maxsize=2)
def _load(wardrobe_base: Path, body: Path) -> BaseMesh:
    if not wardrobe_base.is_file():
        raise MissingFile(
            f"{wardrobe_base} is missing: restore it with `git checkout -- data/assets`, or make it with "
            f"`python -m turnaround.data.body.build`"
        )
    with np.load(wardrobe_base) as file:
        arrays = {name: file[name] for name in file.files}
    with np.load(body) as file:
        regressor = file["J_regressor"].astype(np.float64)
        arrays = joined(arrays, {name: file[name] for name in ("f", "ft", "part", "vt", *SHARED.values())})
    template, directions = arrays["v"].astype(np.float32), arrays["shapedirs"].astype(np.float32)
    surface = arrays["body_to_full"]
    names = [name.removeprefix("f_") for name in arrays if name.startswith("f_")]
    weights = arrays["weights"].astype(np.float16).astype(np.float32)  # as the body's file rounds them
    return BaseMesh(
        template=template,
        shapedirs=directions,
        weights=weights,
        skin=Skin.of(weights),
        R_tpose=arrays["R_tpose"].astype(np.float32),
        joint_template=(regressor @ template[surface]).astype(np.float32),
        joint_dirs=np.einsum("jv,vck->jck", regressor, directions[surface]).astype(np.float32),
        parts={
            name: Part(
                arrays[f"f_{name}"].astype(np.int32), arrays["vt"][arrays[f"ft_{name}"]].astype(np.float32)
            )
            for name in names
        },
        surface=surface,
    )


def joined(helpers: dict[str, np.ndarray], body: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of the whole mesh from those of the helper meshes and of the body's file."""
    surface = helpers["body_to_full"]
    count = len(surface) + len(helpers["v"])
    others = np.setdiff1d(np.arange(count), surface)
    arrays = {**helpers, "vt": body["vt"]}
    for name, theirs in SHARED.items():
        arrays[name] = np.empty((count, *helpers[name].shape[1:]), helpers[name].dtype)
        arrays[name][surface], arrays[name][others] = body[theirs], helpers[name]
    for name, numbers in BODY_PARTS.items():
        chosen = np.isin(body["part"], numbers)
        arrays[f"f_{name}"] = surface[body["f"][chosen]].astype(np.int32)
        arrays[f"ft_{name}"] = body["ft"][chosen].astype(np.int32)
    return arrays
