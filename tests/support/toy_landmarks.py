"""Made-up people whose landmarks are exact: sightings, records as `prepare` writes them, landmark sets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.estimator.crop import project_plane
from turnaround.models.estimator.kinematics import KEYPOINTS, to_global
from turnaround.models.estimator.lifter.dataset import Batch, Bodies
from turnaround.models.estimator.lifter.landmark_points import (
    COUNT,
    KNUCKLES,
    POINT_MIRROR,
    RIGID_FACE,
    body_points,
)
from turnaround.models.estimator.lifter.network import Lifted, Lifter
from turnaround.models.estimator.lifter.sighting import Sighting
from turnaround.models.estimator.lifter.train import new_lifter
from turnaround.models.estimator.polish import turn_chain
from turnaround.models.landmarks.names import FACE_68
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body

FLIP = torch.tensor([-1.0, 1, 1])
FINGERS = ("thumb", "index", "middle", "ring", "pinky")  # in the order of a hand's 21 points


def near(found: Tensor, expected: Tensor, tolerance: float = 1e-5, what: str = "") -> None:
    """Tensors that differ nowhere by more than `tolerance`."""
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0, msg=lambda text: f"{what} {text}")


def random_body(batch: int, seed: int = 0, amount: float = 0.25) -> Body:
    """People who face the camera, joints turned by about `amount` radians, knees and elbows bent."""
    g = torch.Generator().manual_seed(seed)
    body = Body.neutral(batch)
    pose = amount * torch.randn(batch, 21, 3, generator=g)
    for joint, axis, sign in ((4, 0, 1), (5, 0, 1), (18, 1, -1), (19, 1, 1)):
        pose[:, joint - 1] *= 0.1
        pose[:, joint - 1, axis] = sign * (0.3 + torch.rand(batch, generator=g))
    return dataclasses.replace(
        body,
        betas=0.7 * torch.randn(batch, 10, generator=g),
        global_orient=body.global_orient + 0.2 * torch.randn(batch, 3, generator=g),
        body_pose=pose,
        left_hand_pose=0.3 * torch.randn(batch, 15, 3, generator=g),
        right_hand_pose=0.3 * torch.randn(batch, 15, 3, generator=g),
        jaw_pose=torch.rand(batch, 1, generator=g) * torch.tensor([0.2, 0, 0]),
    )


def centred(body: Body, model: BodyModel) -> Body:
    """The same people with the pelvis at the world's origin, where the fit expects it."""
    return dataclasses.replace(body, transl=body.transl - model(body).joints[:, 0])


def made_up_lifter(seed: int = 0) -> Lifter:
    """An untrained lifter whose landmarks lie some centimetres beside the joints, left and right alike."""
    torch.manual_seed(seed)
    lifter = new_lifter().eval().requires_grad_(False)
    raw = 0.04 * torch.randn(COUNT, 3)
    lifter.offsets.copy_((raw + raw[list(POINT_MIRROR)] * FLIP) / 2)
    lifter.errors[0], lifter.errors[1] = 0.01, 0.04
    for head in (lifter.pose_head, lifter.shape_head, lifter.place_head, lifter.spread_head):
        torch.nn.init.normal_(head.weight, 0, 0.01)
    return lifter


def rotations_of(body: Body) -> Tensor:
    """(b, 22, 3, 3) global rotations."""
    return to_global(axis_angle_to_matrix(torch.cat([body.global_orient[:, None], body.body_pose], 1)))


def truth_of(body: Body, model: BodyModel) -> Bodies:
    """What a landmark set knows about people in front of the canonical camera."""
    count, camera = len(body.betas), canonical_camera(100)
    K = camera.K * torch.tensor([[0.01], [0.01], [1.0]])
    fingers = torch.stack([body.left_hand_pose, body.right_hand_pose], 1)
    up = torch.nn.functional.normalize(torch.tensor([0.1, -1.0, 0.2]), dim=0)
    return Bodies(
        rotations_of(body), body.betas, model(body).joints[:, list(KEYPOINTS)], up.repeat(count, 1),
        axis_angle_to_matrix(fingers), body.jaw_pose, body.expression, K.repeat(count, 1, 1),
        camera.T_camera_world.repeat(count, 1, 1),
    )  # fmt: skip


def sighting_of(body: Body, model: BodyModel, offsets: Tensor) -> Sighting:
    """Exact landmarks of people; all seen, with full certainty."""
    count, out = len(body.betas), model(body)
    points = body_points(out.joints[:, list(KEYPOINTS)], rotations_of(body), offsets)
    flat, hip = project_plane(points), points[:, 23:25].mean(1, keepdim=True)
    pose = torch.cat([flat[:, :33], (points - hip)[:, :33, 2:] * 0.4, torch.ones(count, 33, 2)], -1)
    hands_world = torch.stack([hand_points(out.joints, side) for side in ("left", "right")], 1)
    hands = project_plane(hands_world.flatten(1, 2)).unflatten(1, (2, 21))
    hands[:, :, list(KNUCKLES)] = flat[:, 33:43].unflatten(1, (2, 5))
    face = face_points(out.vertices, out.joints, model)
    seen_face = torch.cat([project_plane(face), face[..., 2:] * 0.4], -1)
    seen_face[:, list(RIGID_FACE), :2] = flat[:, 43:]
    return Sighting(
        pose, (points - hip)[:, :33], hands, hands_world - hands_world[:, :, :1], torch.ones(count, 2),
        seen_face, torch.ones(count),
    )  # fmt: skip


def hand_points(joints: Tensor, side: str) -> Tensor:
    """(b, 21, 3) wrist and four points of each finger, metres."""
    chosen = [joints[:, JOINT_INDEX[f"{side}_wrist"]]]
    for finger in FINGERS:
        chain = [joints[:, JOINT_INDEX[f"{side}_{finger}{k}"]] for k in (1, 2, 3)]
        chosen += [*chain, 2 * chain[2] - chain[1]]
    return torch.stack(chosen, 1)


def face_points(vertices: Tensor, joints: Tensor, model: BodyModel) -> Tensor:
    """(b, 68, 3) points of the face, world, metres; the contour that the model lacks is fixed to the head."""
    assert model.face_landmarks is not None
    index, share = model.face_landmarks
    inner = (vertices[:, index] * share[..., None]).sum(-2)
    left, right, base = (joints[:, JOINT_INDEX[name], None] for name in ("left_eye", "right_eye", "jaw"))
    along = torch.linspace(1, 0, 17)[:, None]
    across = right + (left - right) * (along * 2.4 - 0.7)
    contour = across + (base - (left + right) / 2) * (1 - (2 * along - 1).abs())
    return torch.cat([contour, inner], 1)


def batch_of(body: Body, model: BodyModel, offsets: Tensor) -> Batch:
    """Exact landmarks and the truth."""
    return Batch(sighting_of(body, model, offsets), truth_of(body, model))


def lifted_of(body: Body, model: BodyModel, spread: float = 0.2) -> Lifted:
    """A body as the lifter would tell it, every rotation equally sure."""
    truth = truth_of(body, model)
    return Lifted(
        truth.rotations, torch.full((len(body.betas), 22), spread), truth.betas, truth.joints[:, 0],
        truth.joints, truth.up, truth.fingers, truth.jaw, truth.expression,
    )  # fmt: skip


def disturbed(found: Lifted, lifter: Lifter, amount: float = 0.12, seed: int = 0) -> Lifted:
    """Every joint turned by about `amount` radians against its parent."""
    g = torch.Generator().manual_seed(seed)
    turns = axis_angle_to_matrix(amount * torch.randn(len(found.betas), 22, 3, generator=g))
    rotations, betas = turn_chain(turns, found.rotations), found.betas * 0
    joints = lifter.skeleton(rotations, betas) + found.pelvis[:, None]
    return dataclasses.replace(found, rotations=rotations, betas=betas, joints=joints)


def record_of(seen: Sighting, size: int) -> dict:
    """The first person as `prepare.landmarks` tells them, in pixels of a square; both runs saw the same."""
    pixels = lambda points: ((points + 1) * size / 2).tolist()  # noqa: E731
    depth = seen.pose[0, :, 2:3] * size / 2
    run = {
        "pose": torch.cat([(seen.pose[0, :, :2] + 1) * size / 2, depth, seen.pose[0, :, 3:]], -1).tolist(),
        "world": seen.world[0].tolist(),
    }
    hands = {}
    for k, side in enumerate(("left", "right")):
        hand = {
            "xy": pixels(seen.hands[0, k]),
            "world": seen.hands_world[0, k].tolist(),
            "flag": float(seen.hands_flag[0, k]),
        }
        hands[side] = hand if seen.hands_flag[0, k] > 0 else None
    face = torch.cat([(seen.face[0, :, :2] + 1) * size / 2, seen.face[0, :, 2:] * size / 2], -1).tolist()
    there = bool(seen.face_flag[0] > 0)
    return {
        "source": "blazepose",
        **run,
        "mirrored": run,
        "hands": hands,
        "face": {"points": face, "flag": float(seen.face_flag[0])} if there else None,
    }


def rows_of(body: Body, model: BodyModel, offsets: Tensor) -> dict[str, np.ndarray]:
    """Arrays of a chunk as `data.landmark_sets.chunk` makes them, of exact landmarks."""
    seen, truth = sighting_of(body, model, offsets), truth_of(body, model)
    count = len(body.betas)
    plane = torch.cat([(seen.pose[..., :2] + 1) / 2, seen.pose[..., 2:3] / 2, seen.pose[..., 3:]], -1)
    face = torch.zeros(count, 468, 3)
    face[:, list(FACE_68)] = torch.cat([(seen.face[..., :2] + 1) / 2, seen.face[..., 2:] / 2], -1)
    arrays = {
        "pose_points": plane, "pose_world": seen.world,
        "hand_xy": (seen.hands + 1) / 2, "hand_world": seen.hands_world,
        "hand_flag": torch.stack([seen.hands_flag, seen.hands_flag * 0.1], -1),
        "face_points": face, "face_flag": seen.face_flag,
        "joints": model(body).joints, "up": truth.up, "K": truth.K, "T_camera_world": truth.T_camera_world,
    }  # fmt: skip
    arrays |= {f"body_{field.name}": getattr(body, field.name) for field in dataclasses.fields(Body)}
    made = {name: value.numpy().astype(np.float32) for name, value in arrays.items()}
    return made | {"kind": np.array(["made up"] * count)}


def write_set(folder: Path, model: BodyModel, offsets: Tensor, *, chunks: int = 3, count: int = 8) -> Path:
    """A landmark set of `chunks` files of `count` people."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(chunks):
        np.savez(folder / f"chunk_{number:05d}.npz", **rows_of(random_body(count, number), model, offsets))
    return folder
