"""Bodies with known answers for the refinement: posed people in simulated clothes, and estimates that are off
like an estimator's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import JOINT_INDEX, BodyModel
from turnaround.models.mesh.silhouette import vertex_normals
from turnaround.pipeline.values.camera import canonical_camera, project
from turnaround.pipeline.values.types import Body

BODY_JOINTS = 22  # over which MPJPE is taken
HIPS, KNEES, SPINE = ("left_hip", "right_hip"), ("left_knee", "right_knee"), ("spine1", "spine2", "spine3")
ARMS = ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow")


@dataclass(frozen=True)
class PosedPerson:
    """A true body, its surface with clothes, and its joints."""

    body: Body
    surface: Float[Tensor, "v 3"]  # clothed vertices, faces as the body's
    joints: Float[Tensor, "55 3"]


def posed_person(model: BodyModel, seed: int, *, clothes: float = 0.015) -> PosedPerson:
    """A standing person with bent limbs; `clothes` is the mean thickness in metres, the head, hands and feet
    are bare."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.06, (21, 3))
    side = {"left_shoulder": -1.0, "right_shoulder": 1.0}
    for name, sign in side.items():
        pose[JOINT_INDEX[name] - 1] += [0, rng.normal(0, 0.2), sign * rng.uniform(0.3, 1.2)]
    for name, sign in (("left_elbow", -1), ("right_elbow", 1)):
        pose[JOINT_INDEX[name] - 1, 1] += sign * abs(rng.normal(0.3, 0.3))
    for hip, knee in zip(HIPS, KNEES, strict=True):
        bend = abs(rng.normal(0.0, 0.25))
        pose[JOINT_INDEX[hip] - 1, 0] -= bend * 0.7
        pose[JOINT_INDEX[knee] - 1, 0] += bend
    for name, sign in zip(HIPS, (1, -1), strict=True):
        pose[JOINT_INDEX[name] - 1, 2] += sign * rng.uniform(0, 0.2)
    body = dataclasses.replace(
        Body.neutral(),
        body_pose=torch.tensor(pose, dtype=torch.float32),
        betas=torch.tensor(rng.normal(0, 0.8, 10), dtype=torch.float32),
        global_orient=torch.tensor(rng.normal([np.pi, 0, 0], 0.08), dtype=torch.float32),
        transl=torch.tensor(rng.normal(0, [0.02, 0.02, 0.04]), dtype=torch.float32),
    )
    with torch.no_grad():
        posed = model(body)
    return PosedPerson(body, posed.vertices + _clothes(model, posed.vertices, clothes, rng), posed.joints)


def _clothes(
    model: BodyModel, vertices: Float[Tensor, "v 3"], mean: float, rng: np.random.Generator
) -> Float[Tensor, "v 3"]:
    """Offsets along the normals that vary smoothly over the body."""
    waves = torch.tensor(rng.normal(0, 6, (8, 3)), dtype=torch.float32)
    phases = torch.tensor(rng.uniform(0, 2 * np.pi, 8), dtype=torch.float32)
    swing = torch.cos(model.v_template @ waves.T + phases).mean(-1) * 2
    bare = [
        k
        for name, k in JOINT_INDEX.items()
        if k >= 20 or name in ("head", "neck", "left_foot", "right_foot", "left_ankle", "right_ankle")
    ]
    covered = 1 - model.lbs_weights[:, bare].sum(-1)
    thickness = mean * (1 + swing).clamp(min=0) * covered
    return vertex_normals(vertices, model.faces) * thickness[:, None]


def disturbed(model: BodyModel, person: PosedPerson, seed: int, *, error: float = 0.075) -> Body:
    """An estimate that is off as estimators are: bent legs, leaning torso, arms wrong in depth, mean shape,
    wrong distance.

    The error is scaled until MPJPE, pelvis-aligned over 22 joints, is `error` metres; the picture plane is
    mended as an estimator would, by the mean shift of the projected joints.
    """
    rng = np.random.default_rng(seed + 7919)
    change = _pose_error(rng)
    betas, depth = rng.normal(0, 0.5, 10), float(np.clip(rng.normal(0, 0.06), -0.12, 0.12))
    low, high = 0.1, 4.0
    body = person.body
    for _ in range(14):
        scale = (low + high) / 2
        body = _mend_shift(model, person, _changed(person.body, scale, change, betas, depth))
        with torch.no_grad():
            wrong = mpjpe(model(body).joints, person.joints)
        low, high = (low, scale) if wrong > error else (scale, high)
    return body


def _pose_error(rng: np.random.Generator) -> np.ndarray:
    change = rng.normal(0, 0.04, (22, 3))
    for name in HIPS:
        change[JOINT_INDEX[name], 0] -= abs(rng.normal(0.30, 0.12))
    for name in KNEES:
        change[JOINT_INDEX[name], 0] += abs(rng.normal(0.45, 0.15))
    lean = rng.normal(0.10, 0.06) * rng.choice([-1, 1])
    for name in SPINE:
        change[JOINT_INDEX[name], 0] += lean * 0.6
    for name in ARMS:
        change[JOINT_INDEX[name]] += rng.normal(0, [0.08, 0.22, 0.08])
    change[0] = [rng.normal(0, 0.08), rng.normal(0, 0.06), 0]
    return change


def _changed(body: Body, scale: float, change: np.ndarray, betas: np.ndarray, depth: float) -> Body:
    shift = torch.tensor([0, 0, depth * min(scale, 1.5)], dtype=torch.float32)
    return dataclasses.replace(
        body,
        global_orient=body.global_orient + torch.tensor(scale * change[0], dtype=torch.float32),
        body_pose=body.body_pose + torch.tensor(scale * change[1:], dtype=torch.float32),
        betas=body.betas * 0.5 + torch.tensor(0.6 * scale * betas, dtype=torch.float32),
        transl=body.transl + shift,
    )


@torch.no_grad()
def _mend_shift(model: BodyModel, person: PosedPerson, body: Body) -> Body:
    camera = canonical_camera(256)
    goal, _ = project(person.joints[:BODY_JOINTS], camera)
    for _ in range(3):
        found, depth = project(model(body).joints[:BODY_JOINTS], camera)
        shift = (goal - found).mean(0) * depth.mean() / camera.K[0, 0]
        body = dataclasses.replace(body, transl=body.transl + torch.cat([shift, torch.zeros(1)]))
    return body


def mpjpe(joints: Float[Tensor, "*b j 3"], truth: Float[Tensor, "*b j 3"]) -> float:
    """Mean distance of the first 22 joints in metres after the pelvises are laid over each other."""
    a, b = joints[..., :BODY_JOINTS, :], truth[..., :BODY_JOINTS, :]
    return ((a - a[..., :1, :]) - (b - b[..., :1, :])).norm(dim=-1).mean().item()
