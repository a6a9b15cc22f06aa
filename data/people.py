"""Dressed people with SMPL-X parameters that fit them exactly.

A person (body shape, expression, outfit, cloth, skin) comes from a seed and a split; a pose and lights make a
figure that cameras can see. The world frame is that of pipeline/values/camera.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from turnaround.data.clothes import base_mesh, skins
from turnaround.data.clothes.base_mesh import BaseMesh
from turnaround.data.clothes.closet import Closet
from turnaround.data.clothes.extras import embellished
from turnaround.data.clothes.layers import Dressed, dress
from turnaround.data.clothes.outfits import describe, sample_outfit
from turnaround.data.clothes.wardrobe import Split
from turnaround.data.render import Picture, render, vertex_normals
from turnaround.data.scenes import lights
from turnaround.pipeline.errors import CallError

Variety = Literal["basic", "full"]
TEST_SEED = 900000  # people for testing have seeds from here on
BETA_LIMIT = 2.2  # standard deviations
FIELDS = (
    "betas",
    "expression",
    "global_orient",
    "body_pose",
    "left_hand_pose",
    "right_hand_pose",
    "jaw_pose",
    "leye_pose",
    "reye_pose",
    "transl",
)


@dataclass(frozen=True)
class Person:
    """Who it is and what they wear; no pose yet."""

    seed: int
    base: BaseMesh
    betas: Float32[np.ndarray, "10"]
    expression: Float32[np.ndarray, "10"]
    rest_joints: Float32[np.ndarray, "55 3"]  # T-pose
    dressed: Dressed
    items: tuple[str, ...]  # names of garments and skin
    outfit: tuple[
        dict[str, Any], ...
    ] = ()  # of each garment: name, role, mean colour, metres that it stands off


@dataclass(frozen=True)
class Figure:
    """A person in a pose in the world, lit."""

    person: Person
    vertices: Float32[np.ndarray, "v 3"]
    normals: Float32[np.ndarray, "v 3"]
    light: Float32[np.ndarray, "v 3"]
    joints: Float32[np.ndarray, "55 3"]
    rotations: Float32[np.ndarray, "55 3 3"]  # of the joints' frames in the world
    body: dict[str, np.ndarray]  # SMPL-X parameters, world frame: every field of pipeline.types.Body
    lamps: lights.Lights
    kind: str = ""  # of the pose, where it has a name

    def seen_from(self, K: np.ndarray, T_camera_world: np.ndarray, size: int, *, samples: int = 3) -> Picture:
        """What a camera sees (intrinsics for `size` pixels)."""
        return render(
            self.person.dressed.surface,
            self.vertices,
            self.normals,
            self.light,
            K,
            T_camera_world,
            size,
            samples=samples,
        )


def sample_person(
    seed: int, split: Split, closet: Closet | None = None, variety: Variety | None = None
) -> Person:
    """The person of a seed: the same wherever and whenever it is made.

    Args:
        variety: "basic" are the people of the suite people-test, which published figures are about and which
        never change;
            "full" adds children, coats, beards, hats and more. Default: full for training, basic for testing.

    Raises:
        ValueError: a seed of the other split.
    """
    if (seed >= TEST_SEED) != (split == "test"):
        raise CallError(
            f"seed {seed} is not one of split {split!r}: test people have seeds from {TEST_SEED}, the "
            f"others below"
        )
    closet = closet or Closet.open(split)
    rng = np.random.default_rng([seed, 1])
    betas = np.clip(rng.normal(size=10), -BETA_LIMIT, BETA_LIMIT).astype(np.float32)
    expression = (rng.normal(size=10) * rng.choice([0.0, 0.5, 1.0])).clip(-1.5, 1.5).astype(np.float32)
    more = np.random.default_rng([seed, 11])  # a stream of its own: what is basic stays as it is
    full = (variety or default_variety(split)) == "full"
    if full:
        betas = varied_shape(more, betas)
    shaped = closet.base.shape(betas, expression)
    outfit = sample_outfit(rng, closet)
    texture, skin_name = _skin(rng, closet)
    if full:
        outfit = embellished(more, closet, outfit, male=_male(more, skin_name), child=bool(betas[0] < -1.7))
    dressed = dress(rng, closet.base, shaped, outfit, texture)
    items = (*(worn.name for worn in outfit), skin_name)
    described = tuple(describe(worn) for worn in outfit)
    return Person(
        seed, closet.base, betas, expression, closet.base.joints(betas, expression), dressed, items, described
    )


def default_variety(split: Split) -> Variety:
    """What people of a split are made with unless something else is asked for."""
    return "full" if split == "train" else "basic"


def varied_shape(rng: np.random.Generator, betas: Float32[np.ndarray, "10"]) -> Float32[np.ndarray, "10"]:
    """One person in eight as small as a child of about eleven (1.33 to 1.50 m), one in twenty very tall;
    others as they are."""
    kind, betas = rng.random(), betas.copy()
    if kind < 0.12:
        betas[0] = -rng.uniform(1.8, 3.2)
    elif kind < 0.17:
        betas[0] = rng.uniform(1.8, 2.6)
    return betas


def _male(rng: np.random.Generator, skin_name: str) -> bool:
    return skin_name.endswith("_male") if skin_name != "painted" else rng.random() < 0.5


def _skin(rng: np.random.Generator, closet: Closet):
    if closet.wardrobe is None:
        return skins.painted_skin(rng), "painted"
    names = closet.wardrobe.garments("skins")
    name = names[rng.integers(len(names))]
    return skins.tinted_skin(rng, closet.wardrobe.skin(name)), name


def pose_person(
    person: Person,
    pose: dict[str, np.ndarray],
    R_world_person: np.ndarray,
    pelvis: np.ndarray,
    light: lights.Lights,
    *,
    rays: int = 12,
) -> Figure:
    """Put a person into the world.

    Args:
        pose: body_pose (21,3), hands, jaw and eyes, axis-angle in radians.
        R_world_person: (3,3) from SMPL-X axes (y up, facing +z) to the world.
        pelvis: where the pelvis is, world frame, metres.
        rays: directions of the ambient occlusion.
    """
    transl = np.asarray(pelvis, np.float32) - person.rest_joints[0]
    orient = rotation_vector(R_world_person)
    body = {"betas": person.betas, "expression": person.expression, "global_orient": orient, "transl": transl}
    body |= {name: np.asarray(pose[name], np.float32) for name in FIELDS if name in pose and name not in body}
    body = {name: body[name].astype(np.float32) for name in FIELDS}
    rotvecs = np.concatenate([body[name].reshape(-1, 3) for name in _POSE_ORDER])
    world = base_mesh.joint_transforms(person.rest_joints, rotvecs)
    vertices = (
        base_mesh.skinned(person.dressed.vertices, person.dressed.skin, person.rest_joints, world) + transl
    )
    faces = person.dressed.surface.faces
    normals = vertex_normals(vertices, faces)
    lit = lights.vertex_light(light, vertices, normals, faces, rays=rays)
    return Figure(
        person,
        vertices,
        normals,
        lit,
        (world[:, :, 3] + transl).astype(np.float32),
        world[:, :, :3],
        body,
        light,
    )


_POSE_ORDER = (
    "global_orient",
    "body_pose",
    "jaw_pose",
    "leye_pose",
    "reye_pose",
    "left_hand_pose",
    "right_hand_pose",
)


def rotation_vector(R: np.ndarray) -> Float32[np.ndarray, "3"]:
    """Axis times angle of a rotation matrix, stable near half a turn (people who face the camera)."""
    q = np.empty(4)
    trace = np.trace(R)
    squares = np.array([1 + trace, *(1 + 2 * np.diag(R) - trace)])
    k = int(squares.argmax())
    q[k] = squares[k]
    skew = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    if k == 0:
        q[1:] = skew
    else:
        i = k - 1
        q[0] = skew[i]
        for j in range(3):
            if j != i:
                q[1 + j] = R[i, j] + R[j, i]
    q /= np.linalg.norm(q) * (1 if q[0] >= 0 else -1)
    sine = np.linalg.norm(q[1:])
    if sine < 1e-9:
        return np.zeros(3, np.float32)
    return (q[1:] / sine * 2 * np.arctan2(sine, q[0])).astype(np.float32)


def upright(yaw: float, lean: np.ndarray | None = None) -> np.ndarray:
    """R_world_person of somebody who stands: at yaw 0 facing the input camera, positive yaws turn towards
    world +x."""
    R = base_mesh.rotation_matrices(
        np.array([[0.0, -yaw, 0.0], [math.pi, 0.0, 0.0], np.zeros(3) if lean is None else lean])
    )
    return R[0] @ R[1] @ R[2]
